"""Matching in SQL: one statement decides for a version which of the captured changes start a run, and starts them."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any

from psycopg import Connection, Error, sql

from runtime.engine.faults import in_halves, is_fault_of_statement
from runtime.engine.runs import IF
from runtime.ledger.arrays import int_array, time_array
from runtime.ledger.queries import load_queries
from runtime.publishing.versions import Version
from runtime.spec.compiled import Clause, Match
from runtime.spec.render import quoted

_QUERIES = load_queries("runtime.engine")
Columns = tuple[tuple[str, str], ...]
"""Name and type of each column, as the table has them now."""


@dataclass
class Matched:
    """What became of the changes that were a version's to judge."""

    version: Version
    runs: list[int] = field(default_factory=list)
    """In capture order."""
    event_ids: set[int] = field(default_factory=set)
    """Those that started a run."""
    unmet: Counter[str] = field(default_factory=Counter)
    """Clause → changes for which it was the first that did not hold."""
    failed: dict[int, str] = field(default_factory=dict)
    """Event → why nobody knows whether it matches."""


def start_runs(
    conn: Connection[Any],
    project_id: int,
    *,
    version: Version,
    events: Mapping[int, datetime],
    columns: Columns,
    now: datetime,
) -> Matched:
    """Insert a run for each change (id → event.at) that matches the version; in the caller's transaction.

    The changes must lie in the outbox. One that the condition can't be asked of is `failed`, alone where that can be
    found out; it never keeps the others from starting.
    """
    matched = Matched(version)
    match = version.compiled.match
    if match is None:
        return matched
    clauses = match.clauses or (Clause(name="when", sql=match.condition),)
    text = _statement(clauses, _captured(match, columns))
    values = {
        "project_id": project_id,
        "version_id": version.id,
        "step": IF if version.compiled.condition else 0,
        "now": now,
    }

    def attempt(ids: Sequence[int]) -> None:
        given = {**values, "ids": int_array(ids), "ats": time_array(events[event_id] for event_id in ids)}
        with conn.transaction():
            rows = conn.execute(text.encode(), given).fetchall()
        for unmet, event_id, run_id, count in rows:
            if unmet:
                matched.unmet[clauses[unmet - 1].name] += count
            else:
                matched.runs.append(run_id)
                matched.event_ids.add(event_id)

    def give_up(ids: Sequence[int], why: str) -> None:
        matched.failed |= dict.fromkeys(ids, why)

    in_halves(sorted(events), attempt, give_up=give_up, fails_always=lambda: _fails(attempt))
    matched.runs.sort()
    return matched


def _fails(attempt: Callable[[Sequence[int]], None]) -> bool:
    """Return whether it fails over no change at all: a right, a column or a type is missing."""
    try:
        attempt([])
    except Error as error:
        return is_fault_of_statement(error)
    return False


def _captured(match: Match, columns: Columns) -> Columns:
    """Return the columns that the payload has for this version. No others are built: a domain may refuse NULL."""
    return tuple(column for column in columns if column[0] in match.hook_columns)


@lru_cache(maxsize=256)
def _statement(clauses: tuple[Clause, ...], columns: Columns) -> str:
    arms = " ".join(f"WHEN NOT ({clause.sql}) THEN {number}" for number, clause in enumerate(clauses, 1))
    names = ", ".join(f"{quoted(name)} {kind}" for name, kind in columns) or '"tidings none" int'
    query = sql.SQL(_QUERIES["match"])
    return query.format(arms=_raw(arms), columns=_raw(names)).as_string(None)


def _raw(text: str) -> sql.Composed:
    """Return SQL of checked syntax trees and quoted names, fit to stand in a statement with parameters."""
    return sql.Composed([sql.SQL(text.replace("%", "%%"))])
