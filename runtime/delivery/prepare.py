"""People in, messages out: deduplicated, suppressed, rendered and frozen. Pure: nothing is read, nothing is sent."""

from collections.abc import Sequence
from datetime import datetime

from runtime.delivery.message import NewMessage, Prepared, Send
from runtime.delivery.policy import Policy
from runtime.delivery.recipients import Recipient, recipients, storable
from runtime.delivery.requests import Requests
from runtime.delivery.suppression import Suppressions
from runtime.delivery.unsubscribe_token import sign_unsubscribe, unsubscribe_link
from runtime.delivery.wording import Wording
from runtime.errors import Permanent


def prepare(sends: Sequence[Send], policy: Policy, suppressed: Suppressions, *, now: datetime) -> Prepared:
    """Return one message for each person of each send, and the provider requests that hold them.

    A message is in a batch, or has an outcome (suppressed, failed) with its reason; one that can't be made is nobody
    else's matter. The same arguments give the same requests, byte for byte. Raises BadAddress when the project's own
    sender can't be used.
    """
    requests = Requests(policy, now)
    messages: list[NewMessage] = []
    for send in sends:
        wording = Wording(send)
        messages += [_message(send, recipient, wording, suppressed, requests) for recipient in recipients(send)]
    return Prepared(tuple(messages), requests.frozen())


def _message(
    send: Send, recipient: Recipient, wording: Wording, suppressed: Suppressions, requests: Requests
) -> NewMessage:
    address = recipient.address
    if address is None:
        return _entry(send, recipient, "failed", recipient.problem, recipient.detail)
    if why := suppressed.against(address, category=send.category, topic=send.topic):
        reason = "unsubscribed" if why == "unsubscribed" else "suppressed"
        return _entry(send, recipient, "suppressed", reason, f"The address is on the suppression list: {why}.")
    provider = requests.policy.provider_for(recipient.channel, address)
    if not provider:
        detail = f"No provider for {recipient.channel} is configured. `tidings doctor` says which settings it needs."
        return _entry(send, recipient, "failed", "no_provider", detail)
    link = _unsubscribe_link(send, recipient.channel, address, requests.policy)
    sender = requests.sender_name if recipient.channel == "email" else ""
    try:
        zone = recipient.zone or requests.policy.zone
        rendered = wording.rendered(recipient, zone=zone, sender=sender, link=link)
    except Permanent as error:
        return _entry(send, recipient, "failed", "render_failed", storable(str(error)))
    member = (send.run_id, send.step, recipient.key)
    if recipient.channel == "slack":
        batch, position = requests.add(provider, member, {"channel": address, "text": storable(rendered.text)})
    else:
        batch, position = requests.add(provider, member, requests.mail(provider, member, address, rendered, link=link))
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
    return NewMessage(
        run_id=send.run_id,
        step=send.step,
        recipient_key=recipient.key,
        channel=recipient.channel,
        address=recipient.address,
        locale=recipient.locale,
        topic=send.topic,
        batch=batch,
        position=position,
        outcome=outcome,
        reason=reason,
        detail=detail,
    )
