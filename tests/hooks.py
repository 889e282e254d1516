"""Hooks on any table, without a workflow: what capture's tests install, and what they read back."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from psycopg import Connection

from runtime.capture.install import Installed, install_hook
from runtime.capture.outbox import LowWater
from runtime.source.catalog import read_catalog
from runtime.spec.compiled import Match
from runtime.spec.schema import Table

Event = tuple[str, Any, Any, Any]
"""Operation, key, new and old."""
ALL = ("insert", "update", "delete")


class LowWaterByHand(LowWater):
    """A mark whose time stands still; it looks each time, unless told otherwise."""

    def __init__(self, *, every: timedelta = timedelta()) -> None:
        self._time = 0.0
        super().__init__(every=every, now=lambda: self._time)

    def later(self) -> None:
        """Let a second pass."""
        self._time += 1.0


def table_of(conn: Connection[Any], relation: str) -> Table:
    """Return the table as the catalog knows it."""
    table = read_catalog(conn, everything=True).table(relation)
    assert table is not None
    return table


def watch(
    table: Table,
    *columns: str,
    ops: Sequence[str] = ALL,
    prefilter: Mapping[str, str] | str = "true",
) -> Match:
    """Return a match of the columns (all, when none is named) and the key."""
    names = [c.name for c in table.columns if not columns or c.name in {*columns, *table.primary_key}]
    filters = {op: prefilter if isinstance(prefilter, str) else prefilter.get(op, "true") for op in ops}
    return Match(
        relation=table.relation,
        hook_columns=tuple(names),
        key=table.primary_key,
        ops=tuple(ops),
        prefilter=filters,
        condition="true",
    )


def hook(conn: Connection[Any], relation: str, *columns: str, **rest: Any) -> Installed:
    """Install a hook that captures the columns, in a transaction of its own."""
    table = table_of(conn, relation)
    with conn.transaction():
        return install_hook(conn, 1, table, [watch(table, *columns, **rest)])


def events(conn: Connection[Any]) -> list[Event]:
    """Take everything out of the outbox, in capture order."""
    rows = conn.execute(
        "WITH gone AS (DELETE FROM tidings.outbox RETURNING *) SELECT op::text, key, new, old FROM gone ORDER BY id"
    )
    return rows.fetchall()


def keys(conn: Connection[Any]) -> list[tuple[str, Any, str]]:
    """Return operation, key and error of what is known by key only."""
    return conn.execute("SELECT op::text, key, error FROM tidings.outbox_key ORDER BY id").fetchall()


def count(conn: Connection[Any], counter: str) -> int:
    """Return how far a counter of schema tidings has counted."""
    found = conn.execute("SELECT coalesce(pg_sequence_last_value(%s::regclass), 0)", (f"tidings.{counter}",)).fetchone()
    return int(found[0]) if found else 0
