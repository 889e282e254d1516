"""What the ledger says about a run of the faults: read once at the end, as plain data for the checker."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import psycopg
from psycopg import Connection
from psycopg.rows import class_row

_RUNS = """
SELECT w.name AS workflow, (coalesce(e.new, e.old, r.item)->>'id')::int AS row,
       (coalesce(e.new, e.old, r.item)->>'version')::int AS version,
       r.id, r.event_id, r.state, coalesce(r.reason, '') AS reason
FROM tidings.run r
JOIN tidings.workflow_version v ON v.project_id = r.project_id AND v.id = r.version_id
JOIN tidings.workflow w ON w.project_id = v.project_id AND w.id = v.workflow_id
LEFT JOIN tidings.event e ON e.project_id = r.project_id AND e.id = r.event_id
ORDER BY r.id
"""
_MESSAGES = """
SELECT m.run_id, coalesce(m.address, '') AS to, m.status, m.reason FROM tidings.message_status m ORDER BY m.id
"""
_DEAD = """
SELECT coalesce(w.name, '') AS workflow, d.stage, d.run_id,
       (coalesce(d.payload->'new', d.payload->'old')->>'id')::int AS row,
       (coalesce(d.payload->'new', d.payload->'old')->>'version')::int AS version, d.error
FROM tidings.dead_letter d
LEFT JOIN tidings.workflow_version v ON v.project_id = d.project_id AND v.id = d.version_id
LEFT JOIN tidings.workflow w ON w.project_id = v.project_id AND w.id = v.workflow_id
ORDER BY d.id
"""
_KEYS = """
SELECT h.relation, (k.key->>'id')::int AS row, k.error
FROM tidings.outbox_key k JOIN tidings.hook h ON h.id = k.hook_id
ORDER BY k.id
"""
_LEFT = """
SELECT (SELECT count(*) FROM tidings.outbox) + (SELECT count(*) FROM tidings.work)
       + (SELECT count(*) FROM tidings.run WHERE finished_at IS NULL)
"""
_MISSED = """
SELECT coalesce(sum(pg_sequence_last_value(to_regclass('tidings.missed_' || h.id))), 0)::int FROM tidings.hook h
"""


class Run(NamedTuple):
    """A run, and the row and version that it is about."""

    workflow: str
    row: int
    version: int
    id: int
    event_id: int | None
    state: str
    reason: str


class Message(NamedTuple):
    """A message of a run."""

    run_id: int
    to: str
    status: str
    reason: str


class Dead(NamedTuple):
    """A dead letter, of a run or of a change that never became one."""

    workflow: str
    stage: str
    run_id: int | None
    row: int | None
    version: int | None
    error: str


class KeyOnly(NamedTuple):
    """A change of which only the key was captured."""

    relation: str
    row: int
    error: str


@dataclass(frozen=True)
class Books:
    """Everything the ledger knows."""

    runs: tuple[Run, ...] = ()
    """In the order in which they were created."""
    messages: tuple[Message, ...] = ()
    dead: tuple[Dead, ...] = ()
    keys: tuple[KeyOnly, ...] = ()
    missed: int = 0
    """Changes that were only counted."""
    left: int = 0
    """Changes, work and runs that are not finished."""


def read_books(url: str) -> Books:
    """Read the ledger, as superuser."""
    with psycopg.connect(url) as conn:
        return Books(
            runs=_rows(conn, Run, _RUNS),
            messages=_rows(conn, Message, _MESSAGES),
            dead=_rows(conn, Dead, _DEAD),
            keys=_rows(conn, KeyOnly, _KEYS),
            missed=_number(conn, _MISSED),
            left=_number(conn, _LEFT),
        )


def what_is_left(conn: Connection[Any]) -> int:
    """Return how many changes, pieces of work and runs are not finished."""
    return _number(conn, _LEFT)


def _rows(conn: Connection[Any], kind: type[Any], query: str) -> tuple[Any, ...]:
    with conn.cursor(row_factory=class_row(kind)) as cursor:
        return tuple(cursor.execute(query.encode()))


def _number(conn: Connection[Any], query: str) -> int:
    row = conn.execute(query.encode()).fetchone()
    return int(row[0]) if row else 0
