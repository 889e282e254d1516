"""People in, messages out: deduplicated, suppressed, rendered and frozen. Pure: nothing is read, nothing is sent."""

from collections.abc import Sequence
from datetime import datetime
from typing import Generic, TypeVar

from runtime.delivery.message import NewMessage, Prepared, Send
from runtime.delivery.policy import Policy
from runtime.delivery.recipients import Recipient, recipients, storable
from runtime.delivery.requests import Requests, SharedRequests, WholeRequests
from runtime.delivery.suppression import Suppressions
from runtime.delivery.unsubscribe_token import sign_unsubscribe, unsubscribe_link
from runtime.delivery.wording import Wording
from runtime.errors import Permanent

Frozen = TypeVar("Frozen")


def prepare(sends: Sequence[Send], policy: Policy, suppressed: Suppressions, *, now: datetime) -> Prepared:
    """Return one message for each person of each send, and the provider requests that hold them.

    A message is in a batch, or has an outcome (suppressed, failed) with its reason; one that can't be made is nobody
    else's matter. The same arguments give the same requests, byte for byte. Raises BadAddress when the project's own
    sender can't be used.
    """
    requests = WholeRequests(policy, now)
    messages: list[NewMessage] = []
    workflow = ""
    for send in sends:
        if send.workflow != workflow:
            requests.separate()
            workflow = send.workflow
        making = _Making(send, suppressed, requests)
        messages += [making.message(recipient) for recipient in recipients(send)]
    return Prepared(messages, requests.frozen())


def prepare_slice(
    send: Send, people: Sequence[Recipient], policy: Policy, suppressed: Suppressions, *, now: datetime
) -> Prepared:
    """Return the same for some recipients of one send to very many, but for requests that share their words."""
    requests = SharedRequests(policy, now)
    making = _Making(send, suppressed, requests)
    return Prepared([making.message(recipient) for recipient in people], requests.frozen(), requests.shared)


class _Making(Generic[Frozen]):
    """The messages of one send on their way into requests."""

    def __init__(self, send: Send, suppressed: Suppressions, requests: Requests[Frozen]) -> None:
        self._send = send
        self._suppressed = suppressed
        self._requests = requests
        self._wording = Wording(send, requests.sender_name, requests.freeze)

    def message(self, recipient: Recipient) -> NewMessage:
        """Return a person's message: its place in a request, or why there is none."""
        send, requests, address = self._send, self._requests, recipient.address
        if address is None:
            return _entry(send, recipient, "failed", recipient.problem, recipient.detail)
        if why := self._suppressed.against(address, category=send.category, topic=send.topic):
            reason = "unsubscribed" if why == "unsubscribed" else "suppressed"
            return _entry(send, recipient, "suppressed", reason, f"The address is on the suppression list: {why}.")
        provider = requests.policy.provider_for(recipient.channel, address)
        if not provider:
            missing = f"No provider for {recipient.channel} is configured."
            detail = f"{missing} `tidings doctor` says which settings it needs."
            return _entry(send, recipient, "failed", "no_provider", detail)
        link = _unsubscribe_link(send, recipient.channel, address, requests.policy)
        try:
            words = self._wording.frozen(recipient, zone=recipient.zone or requests.policy.zone, link=link)
        except Permanent as error:
            return _entry(send, recipient, "failed", "render_failed", storable(str(error)))
        member = (send.run_id, send.step, recipient.key)
        if recipient.channel == "slack":
            message = requests.chat(address, words)
        else:
            message = requests.mail(provider, member, address, words, link=link)
        batch, position = requests.add(provider, member, message)
        return _entry(send, recipient, batch=batch, position=position)


def _unsubscribe_link(send: Send, channel: str, address: str, policy: Policy) -> str:
    """Return the link that ends such mails, or nothing where there must be none: a Slack channel is many people."""
    if send.category == "transactional" or channel != "email":
        return ""
    return unsubscribe_link(policy.public_url, sign_unsubscribe(policy.secret, policy.project_id, address, send.topic))


def _entry(
    send: Send,
    recipient: Recipient,
    outcome: str | None = None,
    reason: str = "",
    detail: str = "",
    *,
    batch: int | None = None,
    position: int | None = None,
) -> NewMessage:
    key, channel, address = recipient.key, recipient.channel, recipient.address
    return NewMessage(
        send.run_id, send.step, key, channel, address, recipient.locale, send.topic,
        batch, position, outcome, reason, detail,
    )  # fmt: skip
