"""Provider requests, frozen: what every attempt sends, in batches of a size the provider takes."""

from collections.abc import Mapping
from datetime import datetime
from email.headerregistry import Address
from email.utils import format_datetime
from functools import cached_property
from typing import Any, Generic, NamedTuple, TypeVar

from runtime.delivery.frozen import Words
from runtime.delivery.headers import digest, header_value, mail_headers, message_id, sender_address
from runtime.delivery.message import NewBatch
from runtime.delivery.policy import Policy
from runtime.delivery.recipients import storable
from runtime.delivery.sharing import Sharing, stands_apart
from runtime.delivery.wording import Said
from runtime.templates.rendering import Rendered

Frozen = TypeVar("Frozen")


class Requests(Generic[Frozen]):
    """Collects what is to be sent, and cuts it into batches by provider."""

    def __init__(self, policy: Policy, now: datetime) -> None:
        self.policy = policy
        self._now = now
        self._batches: list[tuple[str, str, list[Any]]] = []
        self._open: dict[str, tuple[int, list[Any], int]] = {}

    def freeze(self, said: Said) -> tuple[Frozen, bool]:
        """Return words in the form of these requests, and whether all readers of a fixed text have the same."""
        raise NotImplementedError

    def mail(self, provider: str, member: tuple[object, ...], address: str, words: Frozen, *, link: str) -> Any:
        """Return a mail as it will be sent; the values of its headers can't be more than values."""
        raise NotImplementedError

    def chat(self, channel: str, words: Frozen) -> Any:
        """Return a Slack message as it will be sent."""
        raise NotImplementedError

    def frozen(self) -> tuple[NewBatch, ...]:
        """Return the batches, in the order in which they were begun."""
        raise NotImplementedError

    @property
    def shared(self) -> Mapping[str, Any] | None:
        """Return what the batches leave out."""
        return None

    def add(self, provider: str, member: tuple[object, ...], message: Any) -> tuple[int, int]:
        """Give a message its place; return the batch's index and the position in it.

        The key of a batch stands for its first member, which is in no other batch, and for now: a ledger that was
        restored counts its runs again.
        """
        place = self._open.get(provider)
        if place is None or len(place[1]) >= place[2]:
            key = digest(self.policy.secret, "batch", self.policy.project_id, *member, self._now.isoformat())
            place = self._open[provider] = (len(self._batches), [], self.policy.batch_size(provider))
            self._batches.append((provider, f"tidings-{key}", place[1]))
        index, messages, _ = place
        messages.append(message)
        return index, len(messages) - 1

    def separate(self) -> None:
        """Begin new batches with what comes next: one that may have to stop alone must not stop others' messages."""
        self._open = {}

    def _id(self, member: tuple[object, ...]) -> str:
        return message_id(self.policy.secret, self._sender.domain, self.policy.project_id, *member)

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


class WholeRequests(Requests[Rendered]):
    """Requests that hold each message in full: for a few people, or runs that have little in common."""

    def freeze(self, said: Said) -> tuple[Rendered, bool]:
        """Return the words in full; a link makes them one person's."""
        subject, html, text = said.pieces.subject, "".join(said.pieces.html), "".join(said.pieces.text)
        return Rendered(header_value(storable(subject)), storable(html), storable(text)), not said.link

    def mail(self, provider: str, member: tuple[object, ...], address: str, words: Rendered, *, link: str) -> Any:
        """Return a mail; the values of its headers can't be more than values."""
        headers = mail_headers(self._id(member), link)
        if provider == "smtp":  # the others date it themselves
            headers["Date"] = format_datetime(self._now)
        return {
            "from": self._from,
            "to": [address],
            "subject": words.subject,
            "html": words.html,
            "text": words.text,
            "headers": headers,
        }

    def chat(self, channel: str, words: Rendered) -> Any:
        """Return a Slack message."""
        return {"channel": channel, "text": words.text}

    def frozen(self) -> tuple[NewBatch, ...]:
        """Return the batches, in the order in which they were begun."""
        return tuple(NewBatch(provider, key, {"messages": messages}) for provider, key, messages in self._batches)


class SharedWords(NamedTuple):
    """The words of a message, without those that others have as well."""

    subject: Words
    html: Words
    text: Words


class SharedRequests(Requests[SharedWords]):
    """Requests of one send to many people: what their messages share is kept beside them, once."""

    def __init__(self, policy: Policy, now: datetime) -> None:
        super().__init__(policy, now)
        self._sharing = Sharing()

    def freeze(self, said: Said) -> tuple[SharedWords, bool]:
        """Return the words; those of a fixed text are everybody's, for the link stands apart."""
        subject, pieces = header_value(storable(said.pieces.subject)), (said.pieces.html, said.pieces.text)
        if said.is_fixed and stands_apart(said):
            html, text = (self._sharing.common(part, said.link) for part in pieces)
            return SharedWords(self._sharing.piece(subject), html, text), True
        html, text = (self._sharing.apart(part, said) for part in pieces)
        return SharedWords(subject, html, text), False

    def mail(self, provider: str, member: tuple[object, ...], address: str, words: SharedWords, *, link: str) -> Any:  # noqa: ARG002
        """Return a mail; its Message-ID is its request's and its place in it."""
        return (address, link, *words)

    def chat(self, channel: str, words: SharedWords) -> Any:
        """Return a Slack message."""
        return (channel, words.text)

    def frozen(self) -> tuple[NewBatch, ...]:
        """Return the batches, in the order in which they were begun."""
        return tuple(
            NewBatch(provider, key, {**self._marks(provider, key), "each": messages})
            for provider, key, messages in self._batches
        )

    def _marks(self, provider: str, key: str) -> dict[str, str]:
        """Return what is in the headers of each mail: the key is nobody else's, so one made of it is not, either."""
        marks = {"id": digest(self.policy.secret, "mails", key)[:40], "domain": self._sender.domain}
        return marks | {"date": format_datetime(self._now)} if provider == "smtp" else marks

    @property
    def shared(self) -> Mapping[str, Any] | None:
        """Return what the batches leave out."""
        return {"from": self._from, "pieces": self._sharing.pieces, "layouts": self._sharing.layouts}
