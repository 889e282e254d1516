"""From decided sends to prepared messages, in slices that fit into memory."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from psycopg import Connection

from runtime.delivery.message import Prepared, Send
from runtime.delivery.policy import Policy, load_policy
from runtime.delivery.prepare import prepare
from runtime.delivery.provider import Delivery
from runtime.delivery.recipients import recipients
from runtime.delivery.suppression import Suppressions, read_suppressions
from runtime.ledger.project import Project

_SLICE = 1_000
"""People whose messages are rendered before any of them is written."""


@dataclass(frozen=True)
class Outgoing:
    """Sends of one slice, with what the suppression list says of their people."""

    sends: Sequence[Send]
    policy: Policy
    suppressed: Suppressions

    def prepared(self, now: datetime) -> Prepared:
        """Render and freeze the messages."""
        return prepare(self.sends, self.policy, self.suppressed, now=now)


def outgoing(conn: Connection[Any], project: Project, delivery: Delivery, sends: Sequence[Send]) -> list[Outgoing]:
    """Return the sends in slices, in their order, with everything that rendering needs."""
    if not sends:
        return []
    policy = load_policy(conn, project, delivery)
    return [Outgoing(part, policy, read_suppressions(conn, project.id, part)) for part in _slices(sends)]


def _slices(sends: Sequence[Send]) -> Iterator[list[Send]]:
    part: list[Send] = []
    size = 0
    for send in (piece for whole in sends for piece in _pieces(whole)):
        if part and size + len(send.people) > _SLICE:
            yield part
            part, size = [], 0
        part.append(send)
        size += len(send.people)
    yield part


def _pieces(send: Send) -> Iterator[Send]:
    """Yield a send in pieces that share nobody: whoever has one key is one person, wherever their rows stand."""
    if len(send.people) <= _SLICE:
        yield send
        return
    people = [{**recipient.person, "key": recipient.key} for recipient in recipients(send)]
    for start in range(0, len(people), _SLICE):
        yield replace(send, people=people[start : start + _SLICE])
