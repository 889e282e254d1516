"""People as the `to` of a send returns them, made into recipients: one each, on one channel."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from runtime.delivery.address import BadAddress, is_plain_email, normal_address
from runtime.delivery.message import Send


class Recipient(NamedTuple):
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
    row: int
    """Which row of the `to` it is, from 1."""


def recipients(send: Send) -> list[Recipient]:
    """Return one recipient for each `key`, in the order of the rows.

    Where there is no key, the address is it. Of several rows with one key the first that has an address counts.
    """
    audience = Audience(send.channels)
    return sorted([*audience.of(send.people), *audience.without_address()], key=lambda recipient: recipient.row)


class Audience:
    """The recipients of one send, whose rows may come in slices."""

    def __init__(self, channels: tuple[str, ...]) -> None:
        self._channels = channels
        self._rows = 0
        self._seen: set[str] = set()
        self._unreached: dict[str, Recipient] = {}

    def of(self, people: Iterable[Mapping[str, Any]]) -> list[Recipient]:
        """Return the recipients of more rows, without those that were there before and those that have no address."""
        found: list[Recipient] = []
        for person in people:
            self._rows += 1
            recipient = _recipient(person, self._rows, self._channels)
            if recipient.key in self._seen:
                continue
            if recipient.address is None:
                self._unreached.setdefault(recipient.key, recipient)
            else:
                self._seen.add(recipient.key)
                found.append(recipient)
        return found

    def without_address(self) -> list[Recipient]:
        """Return those of whom no row had an address that can be used, when all rows have come."""
        return [recipient for key, recipient in self._unreached.items() if key not in self._seen]


def written_addresses(person: Mapping[str, Any], channels: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Yield channel and address, as the row has it, of every channel that the person has an address for."""
    for channel in channels:
        value = person.get(channel)
        if value and (written := storable(str(value)).strip()):
            yield channel, written


def storable(text: str) -> str:
    """Return the text without what Postgres can't store: zero characters and halves of surrogate pairs."""
    if "\0" in text:
        text = text.replace("\0", "")
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def _recipient(person: Mapping[str, Any], row: int, channels: tuple[str, ...]) -> Recipient:
    channel, written, address = _way(person, channels)
    problem, detail = "", ""
    if not written:
        problem, detail = "no_address", f"There is no address for {' or '.join(channels)}."
    elif address is None:
        try:
            address = normal_address(channel, written)
        except BadAddress as error:
            problem, detail = "bad_address", str(error)
    key, locale, zone = person.get("key"), person.get("locale"), person.get("zone")
    named = storable(str(key)) if key is not None and key != "" else (address or written).lower()
    return Recipient(
        named or f"row {row}",
        channel,
        address,
        problem,
        detail,
        storable(str(locale)) if locale else "",
        str(zone) if zone else "",
        person,
        row,
    )


def _way(person: Mapping[str, Any], channels: tuple[str, ...]) -> tuple[str, str, str | None]:
    """Return the channel, the address as the row has it, and as it will be used where that is the same."""
    first = person.get(channels[0])
    if channels[0] == "email" and type(first) is str and is_plain_email(first):
        return "email", first, first
    channel, written = next(written_addresses(person, channels), (channels[0], ""))
    return channel, written, None
