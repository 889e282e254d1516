"""What workers owe: rows of `tidings.work`, leased to one worker at a time.

A lease is wall-clock time, because it is about machines that die. Each lease counts `attempts` up, and that count is
the fence: whoever lost the lease while they worked can't write what they found.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg import Connection, Cursor
from psycopg.rows import class_row

from runtime.errors import Conflict
from runtime.ledger.queries import load_queries

_QUERIES = load_queries("runtime.ledger", "work.sql")
FOREVER_AGO = "-infinity"
"""A floor below everything."""


class LeaseLost(Conflict):
    """Somebody else has this work now, or has done it: what was done here must not be written."""


@dataclass(frozen=True)
class Work:
    """A piece of work, as it was leased."""

    id: int
    kind: str
    """advance, expand or deliver."""
    ids: tuple[int, ...]
    """Runs (advance), the version (expand), delivery batches (deliver)."""
    slot: datetime | None
    attempts: int
    """How often it was leased, this time included."""
    deaths: int = 0
    """How often whoever had it neither finished nor gave it back."""


def lease(
    conn: Connection[Any], project_id: int, work_id: int, lease: timedelta, *, kinds: Sequence[str] | None = None
) -> Work | None:
    """Take a piece of work, or return None when it is done or somebody else has it. Does not look at when it is due.

    With `kinds`, work of any other kind is left alone.
    """
    return leased(ask_lease(conn, project_id, work_id, lease, kinds=kinds))


def ask_lease(
    conn: Connection[Any], project_id: int, work_id: int, lease: timedelta, *, kinds: Sequence[str] | None = None
) -> "Cursor[_Leased]":
    """Do the same, for `leased` to read; in a pipeline nothing waits for it until then."""
    wanted = None if kinds is None else list(kinds)
    values = {"project_id": project_id, "work_id": work_id, "lease": lease, "kinds": wanted}
    return conn.cursor(row_factory=class_row(_Leased)).execute(_QUERIES["lease"], values)


def leased(asked: "Cursor[_Leased]") -> Work | None:
    """Return what was taken."""
    found = asked.fetchone()
    return Work(found.id, found.kind, tuple(found.ids), found.slot, found.attempts, found.deaths) if found else None


def give_back(conn: Connection[Any], project_id: int, work: Work) -> None:
    """Let go of work that was just taken, as if it had not been. Raises LeaseLost."""
    _fenced(conn, "give_back", project_id, work, {})


def keep(conn: Connection[Any], project_id: int, work: Work, lease: timedelta) -> None:
    """Make sure that nobody else can take the work for at least this long from now. Raises LeaseLost.

    Until the transaction ends, nobody else can take it at all.
    """
    ask_keep(conn, project_id, work, lease)()


def ask_keep(conn: Connection[Any], project_id: int, work: Work, lease: timedelta) -> Callable[[], None]:
    """Do the same, and return what raises LeaseLost: in a pipeline to be called before the transaction ends."""
    return _ask_fenced(conn, "keep", project_id, work, {"lease": lease})


def finish(conn: Connection[Any], project_id: int, work: Work) -> None:
    """Remove work that is done. Raises LeaseLost."""
    ask_finish(conn, project_id, work)()


def ask_finish(conn: Connection[Any], project_id: int, work: Work) -> Callable[[], None]:
    """Do the same, and return what raises LeaseLost: in a pipeline to be called before the transaction ends."""
    return _ask_fenced(conn, "finish", project_id, work, {})


def postpone(conn: Connection[Any], project_id: int, work: Work, due_at: datetime) -> None:
    """Give the work back, to be done at an instant on Tidings' clock. Raises LeaseLost."""
    _fenced(conn, "postpone", project_id, work, {"due_at": due_at})


def add(
    conn: Connection[Any],
    project_id: int,
    kind: str,
    chunks: Sequence[Sequence[int]],
    due_at: datetime,
    *,
    slot: datetime | None = None,
) -> list[int]:
    """Add one piece of work for each chunk of ids, in one statement, and return their ids, in the same order."""
    if not chunks:
        return []
    values = {
        "project_id": project_id,
        "kind": kind,
        "chunks": ["{" + ",".join(map(str, chunk)) + "}" for chunk in chunks],
        "due_at": due_at,
        "slot": slot,
    }
    return sorted(row[0] for row in conn.execute(_QUERIES["add"], values))


def due(conn: Connection[Any], project_id: int, *, now: datetime, limit: int) -> list[int]:
    """Return the work that is due and that nobody holds, the longest due first."""
    values = {"project_id": project_id, "now": now, "limit": limit}
    return [row[0] for row in conn.execute(_QUERIES["due"], values)]


def nudge(
    conn: Connection[Any],
    project_id: int,
    *,
    now: datetime,
    limit: int,
    patience: timedelta,
    floor: datetime | None = None,
) -> list[int]:
    """Return such work, without what was returned or added less than `patience` ago: the caller nudges for it.

    With `floor`, nothing is looked at that is due since then or longer.
    """
    values = {"project_id": project_id, "now": now, "limit": limit, "patience": patience, "floor": floor or FOREVER_AGO}
    return sorted(row[0] for row in conn.execute(_QUERIES["nudge"], values))


def longest_owed(conn: Connection[Any], project_id: int, *, now: datetime) -> datetime | None:
    """Return since when the work is due that is due the longest, in whose hands ever it is."""
    row = conn.execute(_QUERIES["longest_owed"], {"project_id": project_id, "now": now}).fetchone()
    return row[0] if row else None


def next_due(conn: Connection[Any], project_id: int, *, now: datetime) -> datetime | None:
    """Return the earliest instant after now at which work is due, if there is any."""
    row = conn.execute(_QUERIES["next_due"], {"project_id": project_id, "now": now}).fetchone()
    return row[0] if row else None


@dataclass(frozen=True)
class _Leased:
    """The row as Postgres returns it: with a list."""

    id: int
    kind: str
    ids: list[int]
    slot: datetime | None
    attempts: int
    deaths: int


def _fenced(conn: Connection[Any], query: str, project_id: int, work: Work, values: dict[str, object]) -> None:
    _ask_fenced(conn, query, project_id, work, values)()


def _ask_fenced(
    conn: Connection[Any], query: str, project_id: int, work: Work, values: dict[str, object]
) -> Callable[[], None]:
    given = {"project_id": project_id, "work_id": work.id, "attempts": work.attempts, **values}
    found = conn.execute(_QUERIES[query], given)

    def check() -> None:
        if found.fetchone() is None:
            raise LeaseLost(f"Work {work.id} was taken over by another worker. Nothing is to be done, it carries on.")

    return check
