"""Work that rests while something is paused: rows of `tidings.work` that nobody is nudged for until the pause is over.

A pause is known by a number: EVERYTHING, or the id of the workflow that is paused.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from psycopg import Connection

from runtime.ledger.queries import load_queries
from runtime.ledger.work import LeaseLost, Work

EVERYTHING = 0
"""The pause of the whole project."""
_UNTIL = timedelta(days=3650)
"""When parked work would be due: so late that only the end of its pause brings it back."""
_QUERIES = load_queries("runtime.ledger", "parking.sql")


def park(conn: Connection[Any], project_id: int, work: Work, pause: int, now: datetime) -> None:
    """Give the work back, to be done when a pause is over. Raises LeaseLost."""
    values = {"project_id": project_id, "work_id": work.id, "attempts": work.attempts, "pause": pause}
    if conn.execute(_QUERIES["park"], {**values, "due_at": now + _UNTIL}).fetchone() is None:
        raise LeaseLost(f"Work {work.id} was taken over by another worker. Nothing is to be done, it carries on.")


def add_parked(
    conn: Connection[Any], project_id: int, kind: str, parked: Mapping[int, Sequence[int]], now: datetime
) -> None:
    """Add one piece of work for the ids of each pause, in one statement."""
    if not parked:
        return
    values = {
        "project_id": project_id,
        "kind": kind,
        "chunks": ["{" + ",".join(map(str, ids)) + "}" for ids in parked.values()],
        "pauses": list(parked),
        "due_at": now + _UNTIL,
    }
    conn.execute(_QUERIES["add_parked"], values)


def unpark(conn: Connection[Any], project_id: int, *, now: datetime, limit: int) -> list[int]:
    """Make at most so much work due whose pause is gone, the oldest first, and return it: the caller nudges for it."""
    values = {"project_id": project_id, "now": now, "limit": limit}
    return sorted(row[0] for row in conn.execute(_QUERIES["unpark"], values))
