"""Who must not be written to: bounced addresses, complaints, unsubscribed topics, and what a person entered."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from psycopg import Connection, Cursor

from runtime.delivery.address import BadAddress, normal_address
from runtime.delivery.message import Send
from runtime.delivery.recipients import written_addresses
from runtime.ledger.arrays import text_array
from runtime.ledger.queries import load_queries

_QUERIES = load_queries("runtime.delivery")
_FROM_EVERYTHING = frozenset({"bounced", "manual"})


@dataclass(frozen=True)
class Suppressions:
    """What the suppression list says about some addresses: (topic, reason) by lower-case address."""

    entries: Mapping[str, Sequence[tuple[str, str]]]

    def against(self, address: str, *, category: str, topic: str) -> str:
        """Return why this must not be sent (bounced, manual, complained, unsubscribed), or nothing.

        Bounced and manual entries without a topic stop everything, complaints and unsubscribes without one everything
        but transactional messages; an entry with a topic stops that topic.
        """
        for entry_topic, reason in self.entries.get(address.lower(), ()) if self.entries else ():
            if entry_topic:
                if entry_topic == topic:
                    return reason
            elif reason in _FROM_EVERYTHING or category != "transactional":
                return reason
        return ""


NOBODY = Suppressions({})


def read_suppressions(conn: Connection[Any], project_id: int, sends: Sequence[Send]) -> Suppressions:
    """Return the entries for every address that these sends may go to: one query."""
    addresses = sorted(set(addresses_of(sends)))
    return suppressions(ask_suppressions(conn, project_id, addresses)) if addresses else NOBODY


def ask_suppressions(conn: Connection[Any], project_id: int, addresses: Iterable[str]) -> Cursor[Any]:
    """Ask for the entries of lower-case addresses; in a pipeline, only who reads the answer waits."""
    values = {"project_id": project_id, "addresses": text_array(addresses)}
    return conn.execute(_QUERIES["read_suppressions"], values)


def suppressions(rows: Iterable[tuple[str, str, str]]) -> Suppressions:
    """Return what was asked for."""
    entries: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    for address, topic, reason in rows:
        entries[address].append((topic, reason))
    return Suppressions(dict(entries))


def addresses_of(sends: Sequence[Send]) -> Iterator[str]:
    """Yield every address that these sends may go to, in lower case."""
    for send in sends:
        for person in send.people:
            for channel, written in written_addresses(person, send.channels):
                with suppress(BadAddress):  # told as bad_address when it is prepared
                    yield normal_address(channel, written).lower()
