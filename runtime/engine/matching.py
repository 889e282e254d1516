"""Matching in SQL: one statement decides for a version which of the captured changes start a run, and starts them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any

from psycopg import Connection, Cursor, Error, sql

from runtime.engine.faults import in_halves, is_fault_of_statement
from runtime.engine.runs import CHUNK, IF
from runtime.ledger.arrays import int_array, text_array, time_array
from runtime.ledger.queries import load_queries
from runtime.publishing.versions import Version
from runtime.spec.compiled import Clause, Match
from runtime.spec.render import quoted

_QUERIES = load_queries("runtime.engine")
_CLAUSES = ("op", "becomes", "before", "columns", "when")
"""In the order of match_count's columns."""
Columns = tuple[tuple[str, str], ...]
"""Name and type of each column, as the table has them now."""
_Answer = tuple[int, list[int]]


@dataclass
class Matched:
    """What became of the changes that were a version's to judge."""

    runs: int = 0
    work: list[int] = field(default_factory=list)
    """Of taking the runs further."""
    failed: dict[int, str] = field(default_factory=dict)
    """Event → why nobody knows whether it matches."""

    def add(self, answer: _Answer) -> None:
        """Count in what a statement answered."""
        self.runs += answer[0]
        self.work += answer[1]


@dataclass(frozen=True)
class Matching:
    """A version and the changes (id → event.at) that are its own to judge. They must lie in the outbox.

    A run is inserted for each that matches, and what happened is counted, in the caller's transaction.
    """

    project_id: int
    version: Version
    events: Mapping[int, datetime]
    columns: Columns
    now: datetime

    def begin(self, conn: Connection[Any]) -> "Cursor[_Answer] | None":
        """Judge all of them, in one statement; the cursor gives what `Matched.add` takes. Raises psycopg's errors."""
        return self._ask(conn, sorted(self.events))

    def carefully(self, conn: Connection[Any]) -> Matched:
        """Do the same; one that the condition can't be asked of is a dead letter, alone where that can be found out.

        It never keeps the others from starting.
        """
        matched = Matched()

        def attempt(ids: Sequence[int]) -> None:
            with conn.transaction():
                asked = self._ask(conn, ids)
                answer = asked.fetchone() if asked else None
            if answer:
                matched.add(answer)

        def give_up(ids: Sequence[int], why: str) -> None:
            matched.failed |= dict.fromkeys(ids, why)

        def fails() -> bool:
            """Return whether it fails over no change at all: a right, a column or a type is missing."""
            try:
                attempt([])
            except Error as error:
                return is_fault_of_statement(error)
            return False

        in_halves(sorted(self.events), attempt, give_up=give_up, fails_always=fails)
        if matched.failed:
            self._keep(conn, matched.failed)
        return matched

    def _ask(self, conn: Connection[Any], ids: Sequence[int]) -> "Cursor[_Answer] | None":
        compiled = self.version.compiled
        match = compiled.match
        if match is None:
            return None
        wait = _first_wait(self.version)
        values = {
            **self._values,
            "now": self.now,
            "step": IF if compiled.condition else 0,
            "chunk": CHUNK,
            "ids": int_array(ids),
            "ats": time_array(self.events[event_id] for event_id in ids),
        }
        if wait:
            values |= {"wait": wait, "wait_name": compiled.steps[0].name, "workflow_id": self.version.workflow_id}
        clauses = match.clauses or (Clause(name="when", sql=match.condition),)
        text = _statement(clauses, _captured(match, self.columns), wait is not None)
        return conn.execute(text.encode(), values)

    @property
    def _values(self) -> dict[str, Any]:
        day: date = self.now.date()
        return {"project_id": self.project_id, "version_id": self.version.id, "day": day}

    def _keep(self, conn: Connection[Any], failed: Mapping[int, str]) -> None:
        letters = {
            "ids": int_array(failed),
            "ats": time_array(self.events[event_id] for event_id in failed),
            "errors": text_array(failed.values()),
        }
        conn.execute(_QUERIES["keep_unmatched"], self._values | letters)
        conn.execute(_QUERIES["count_failed"], self._values | {"failed": len(failed)})


def _first_wait(version: Version) -> timedelta | None:
    """Return how long the version's runs wait before anything else, where that needs no question to the source."""
    compiled = version.compiled
    first = compiled.steps[0]
    fixed = first.kind == "wait" and first.until is None and first.condition is None and not first.months
    return timedelta(seconds=first.seconds or 0) if fixed and compiled.condition is None else None


def _captured(match: Match, columns: Columns) -> Columns:
    """Return the columns that the payload has for this version. No others are built: a domain may refuse NULL."""
    return tuple(column for column in columns if column[0] in match.hook_columns)


@lru_cache(maxsize=256)
def _statement(clauses: tuple[Clause, ...], columns: Columns, waits: bool) -> str:
    arms = " ".join(f"WHEN NOT ({clause.sql}) THEN {number}" for number, clause in enumerate(clauses, 1))
    names = ", ".join(f"{quoted(name)} {kind}" for name, kind in columns) or '"tidings none" int'
    numbers = {clause.name: number for number, clause in enumerate(clauses, 1)}
    counts = [f"count(*) FILTER (WHERE j.unmet = {number})" for number in (0, *(numbers.get(c, -1) for c in _CLAUSES))]
    query = sql.SQL(_QUERIES["match"]).format(
        arms=_raw(arms),
        columns=_raw(names),
        counts=_raw(", ".join(counts)),
        state=sql.SQL(_QUERIES["wait_begins"] if waits else "'active'"),
        rest=sql.SQL(_QUERIES["wait_goes_on"] if waits else ""),
    )
    return query.as_string(None)


def _raw(text: str) -> sql.Composed:
    """Return SQL of checked syntax trees and quoted names, fit to stand in a statement with parameters."""
    return sql.Composed([sql.SQL(text.replace("%", "%%"))])
