"""Provider requests, frozen: what every attempt sends, in batches of a size the provider takes."""

from collections.abc import Mapping
from datetime import datetime
from email.headerregistry import Address
from email.utils import format_datetime
from functools import cached_property
from typing import Any

from runtime.delivery.headers import digest, header_value, mail_headers, message_id, sender_address
from runtime.delivery.message import NewBatch
from runtime.delivery.policy import Policy
from runtime.delivery.recipients import storable
from runtime.templates.rendering import Rendered


class Requests:
    """Collects what is to be sent, and cuts it into batches by provider."""

    def __init__(self, policy: Policy, now: datetime) -> None:
        self.policy = policy
        self._now = now
        self._batches: list[tuple[str, str, list[Mapping[str, Any]]]] = []
        self._open: dict[str, int] = {}

    def add(self, provider: str, member: tuple[object, ...], message: Mapping[str, Any]) -> tuple[int, int]:
        """Give a message its place; return the batch's index and the position in it.

        The key of a batch stands for its first member, which is in no other batch, and for now: a ledger that was
        restored counts its runs again.
        """
        index = self._open.get(provider)
        if index is None or len(self._batches[index][2]) >= self.policy.batch_size(provider):
            index = self._open[provider] = len(self._batches)
            key = digest(self.policy.secret, "batch", self.policy.project_id, *member, self._now.isoformat())
            self._batches.append((provider, f"tidings-{key}", []))
        messages = self._batches[index][2]
        messages.append(message)
        return index, len(messages) - 1

    def mail(
        self, provider: str, member: tuple[object, ...], address: str, rendered: Rendered, *, link: str
    ) -> dict[str, Any]:
        """Return a mail as it will be sent; the values of its headers can't be more than values."""
        mail_id = message_id(self.policy.secret, self._sender.domain, self.policy.project_id, *member)
        headers = mail_headers(mail_id, link)
        if provider == "smtp":  # the others date it themselves
            headers["Date"] = format_datetime(self._now)
        return {
            "from": self._from,
            "to": [address],
            "subject": header_value(storable(rendered.subject)),
            "html": storable(rendered.html),
            "text": storable(rendered.text),
            "headers": headers,
        }

    @cached_property
    def sender_name(self) -> str:
        """Return the name that mails are from; may be empty. Raises BadAddress."""
        return self._sender.display_name

    @cached_property
    def _from(self) -> str:
        return str(self._sender)

    @cached_property
    def _sender(self) -> Address:
        return sender_address(self.policy.sender)

    def frozen(self) -> tuple[NewBatch, ...]:
        """Return the batches, in the order in which they were begun."""
        return tuple(NewBatch(provider, key, {"messages": messages}) for provider, key, messages in self._batches)
