"""People as the `to` of a send returns them, made into recipients: one each, on one channel."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from runtime.delivery.address import BadAddress, normal_address
from runtime.delivery.message import Send


@dataclass(frozen=True)
class Recipient:
    """One person and the way to reach them."""

    key: str
    channel: str
    address: str | None
    """As it will be used; None when there is none, or none that can be used."""
    problem: str
    """no_address, bad_address, or nothing."""
    detail: str
    locale: str
    zone: str
    """Empty: the project's."""
    person: Mapping[str, Any]


def recipients(send: Send) -> list[Recipient]:
    """Return one recipient for each `key`, in the order of the rows.

    Where there is no key, the address is it. Of several rows with one key the first that has an address counts.
    """
    found: dict[str, Recipient] = {}
    for row, person in enumerate(send.people):
        recipient = _recipient(person, row, send.channels)
        kept = found.get(recipient.key)
        if kept is None or (kept.address is None and recipient.address is not None):
            found[recipient.key] = recipient
    return list(found.values())


def written_addresses(person: Mapping[str, Any], channels: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Yield channel and address, as the row has it, of every channel that the person has an address for."""
    for channel in channels:
        written = storable(str(person.get(channel) or "")).strip()
        if written:
            yield channel, written


def storable(text: str) -> str:
    """Return the text without what Postgres can't store: zero characters and halves of surrogate pairs."""
    text = text.replace("\0", "")
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def _recipient(person: Mapping[str, Any], row: int, channels: tuple[str, ...]) -> Recipient:
    channel, written = next(written_addresses(person, channels), (channels[0], ""))
    address, problem, detail = None, "", ""
    if not written:
        problem, detail = "no_address", f"There is no address for {' or '.join(channels)}."
    else:
        try:
            address = normal_address(channel, written)
        except BadAddress as error:
            problem, detail = "bad_address", str(error)
    key = person.get("key")
    named = storable(str(key)) if key not in (None, "") else (address or written).lower()
    return Recipient(
        key=named or f"row {row + 1}",
        channel=channel,
        address=address,
        problem=problem,
        detail=detail,
        locale=storable(str(person.get("locale") or "")),
        zone=str(person.get("zone") or ""),
        person=person,
    )
