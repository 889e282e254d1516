"""Recovering: changes that no hook captured whole go through the matching after all, for exactly one version each.

They stand in the outbox for the length of one transaction, in which no claim can see them; so the other versions on the
same table are not asked again.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from psycopg import Connection

from runtime.capture.outbox import remove
from runtime.engine.matching import Matching
from runtime.ledger.arrays import int_array, text_array
from runtime.ledger.queries import load_queries
from runtime.publishing.versions import Version
from runtime.spec.schema import Table

_QUERIES = load_queries("runtime.engine", "recover.sql")


class Change(NamedTuple):
    """A change as a hook would have captured it, without what was before."""

    op: str
    """i, u or d."""
    generation: int
    key: str
    new: str
    at: datetime
    """When it happened, on Tidings' clock, as far as that is known."""


class Act(NamedTuple):
    """A person's act."""

    by: str
    how: str
    """key or row."""
    now: datetime


def recover(
    conn: Connection[Any], project_id: int, version: Version, table: Table, *, changes: Sequence[Change], act: Act
) -> int:
    """Start the version's runs for changes, with the work that follows; return how many were started.

    In the caller's transaction. A change that the condition can't be asked of becomes a dead letter, as in a claim.
    """
    if not changes:
        return 0
    event_ids = _put_back(conn, version, changes)
    ats = {event_id: change.at for event_id, change in zip(event_ids, changes, strict=True)}
    columns = tuple((column.name, column.type) for column in table.columns)
    matched = Matching(project_id, version, ats, columns, act.now).carefully(conn)
    values = {"project_id": project_id, "event_ids": int_array(event_ids), "work_ids": int_array(matched.work)}
    conn.execute(_QUERIES["remember"], values | act._asdict())
    conn.execute(_QUERIES["ask_for_nudges"], values)
    remove(conn, event_ids)
    return matched.runs


def _put_back(conn: Connection[Any], version: Version, changes: Sequence[Change]) -> list[int]:
    """Return the ids that the changes have in the outbox, in their order."""
    values = {
        "hook_id": version.hook_id,
        "generations": int_array(change.generation for change in changes),
        "ops": text_array(change.op for change in changes),
        "keys": text_array(change.key for change in changes),
        "news": text_array(change.new for change in changes),
    }
    return sorted(row[0] for row in conn.execute(_QUERIES["put_back"], values))
