"""From decided sends to prepared messages, in slices that fit into memory."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from psycopg import Connection, Cursor

from runtime.delivery.message import Prepared, Send
from runtime.delivery.policy import Policy, load_policy
from runtime.delivery.prepare import prepare, prepare_slice
from runtime.delivery.provider import Delivery
from runtime.delivery.recipients import Audience, Recipient
from runtime.delivery.store import store_slice
from runtime.delivery.suppression import Suppressions, addresses_of, ask_suppressions, suppressions
from runtime.ledger.project import Project
from runtime.source.statements import Stream

_SLICE = 1_000
"""People whose messages are rendered before any of them is written; a whole send is never cut."""
_CROWD_SLICE = 2_000
"""The same, of one send to very many. A multiple of what a request holds."""


@dataclass(frozen=True)
class Outgoing:
    """Sends of one slice, with what the suppression list says of their people."""

    sends: Sequence[Send]
    policy: Policy
    suppressed: Suppressions

    def prepared(self, now: datetime) -> Prepared:
        """Render and freeze the messages."""
        return prepare(self.sends, self.policy, self.suppressed, now=now)


def is_crowd(send: Send) -> bool:
    """Return whether a send goes to so many people that they are read and written slice by slice."""
    return isinstance(send.people, Stream)


def outgoing(conn: Connection[Any], project: Project, delivery: Delivery, sends: Sequence[Send]) -> list[Outgoing]:
    """Return the sends in slices, in their order, with everything that rendering needs."""
    if not sends:
        return []
    asked = [(part, ask_suppressions(conn, project.id, addresses_of(part))) for part in _slices(sends)]
    policy = load_policy(conn, project, delivery)
    return [Outgoing(part, policy, suppressions(rows)) for part, rows in asked]


def tell_crowd(
    conn: Connection[Any], project: Project, delivery: Delivery, send: Send, *, now: datetime
) -> list[Iterable[tuple[int]]]:
    """Write the messages of one send to very many people, slice by slice, in the caller's transaction.

    Return cursors that give the ids of the work. Best in a pipeline: then a slice is made while the one before is being
    written. In memory are few slices, and the keys of everybody.
    """
    written: list[Iterable[tuple[int]]] = []
    policy = load_policy(conn, project, delivery)

    def write(people: Sequence[Recipient], asked: Cursor[Any]) -> None:
        prepared = prepare_slice(send, people, policy, suppressions(asked), now=now)
        written.append(store_slice(conn, project.id, send, prepared, now=now))

    before: tuple[Sequence[Recipient], Cursor[Any]] | None = None
    for people in _crowd(send):
        addresses = (recipient.address.lower() for recipient in people if recipient.address)
        asked = ask_suppressions(conn, project.id, addresses)  # ahead, so that the answer is there when it is needed
        if before:
            write(*before)
        before = people, asked
    if before:
        write(*before)
    return written


def _crowd(send: Send) -> Iterator[list[Recipient]]:
    """Yield the recipients in slices: those with an address as their rows come, the others after them."""
    audience = Audience(send.channels)
    people = iter(send.people)
    while rows := list(islice(people, _CROWD_SLICE)):
        yield audience.of(rows)
    unreached = iter(audience.without_address())
    while recipients := list(islice(unreached, _CROWD_SLICE)):
        yield recipients


def _slices(sends: Sequence[Send]) -> Iterator[list[Send]]:
    part: list[Send] = []
    size = 0
    for send in sends:
        if part and size + len(send.people) > _SLICE:
            yield part
            part, size = [], 0
        part.append(send)
        size += len(send.people)
    if part:
        yield part
