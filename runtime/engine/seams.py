"""What a reconciliation finds: one line for each place at which something can get lost."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from psycopg.rows import dict_row

from runtime.ledger.database import Ledger
from runtime.ledger.queries import load_queries

_QUERIES = load_queries("runtime.engine", "reconcile.sql")


@dataclass(frozen=True)
class Window:
    """From when until when, on Tidings' clock; the end is not in it."""

    begin: datetime
    end: datetime
    shift: timedelta = timedelta()
    """How far Tidings' clock is ahead of the server's."""
    workflow: str | None = None
    """Only of this one."""


@dataclass(frozen=True)
class Seam:
    """Two things that must be as many, and how many are not there."""

    stage: str
    """rows, keys, missed, changes, runs, sends, messages, failures or slots."""
    subject: str
    """A workflow, or a table."""
    seen: int
    through: int
    """Of them those that are where they belong."""
    missing: int
    """What is neither there nor on its way."""
    recoverable: int = 0
    """Of those, what `--repair` brings back."""
    unknown: int = 0
    """Of which nobody can say whether something is missing."""
    why: str = ""
    """What it means, and what to do."""
    examples: tuple[str, ...] = field(default=())


def ledger_seams(ledger: Ledger, window: Window) -> list[Seam]:
    """Return the seams that lie within the ledger: from changes to provider ids."""
    found: list[Seam] = []
    for query, read in _READERS.items():
        if query == "events" and window.workflow is not None:
            continue
        found += [seam for row in _rows(ledger, query, window) for seam in read(row)]
    return found


def _changes(row: Mapping[str, Any]) -> list[Seam]:
    why = "Their runs are gone from the ledger. The changes are kept, so they can be matched again." * bool(
        row["missing"]
    )
    return [_seam("changes", row, through=row["seen"] - row["missing"], recoverable=row["missing"], why=why)]


def _runs(row: Mapping[str, Any]) -> list[Seam]:
    why = "They are under way, but neither work nor a timer is there for them." * bool(row["missing"])
    return [_seam("runs", row, through=row["through"], recoverable=row["missing"], why=why)]


def _sends(row: Mapping[str, Any]) -> list[Seam]:
    why = "The step found people and their messages are gone from the ledger; nobody can say whether they were sent."
    return [_seam("sends", row, through=row["seen"] - row["missing"], why=why * bool(row["missing"]))]


def _messages(row: Mapping[str, Any]) -> list[Seam]:
    said = {
        "stranded": "{} wait in a request without work",
        "orphaned": "the requests of {} are gone from the ledger",
        "uncertain": "of {} nobody knows whether the provider took them (`--ask-provider` looks them up where it can)",
        "nameless": "{} were taken and the provider gave no id",
    }
    why = "; ".join(text.format(row[fate]) for fate, text in said.items() if row[fate])
    missing = sum(row[fate] for fate in said)
    row = {**row, "missing": missing}
    return [_seam("messages", row, through=row["through"], recoverable=row["stranded"], why=why and f"{why}.")]


def _dead(row: Mapping[str, Any]) -> list[Seam]:
    why = "They failed for good and are kept with their change. Mend the cause first." * bool(row["missing"])
    return [_seam("failures", row, through=row["seen"] - row["missing"], why=why)]


def _slots(row: Mapping[str, Any]) -> list[Seam]:
    why = "They came too late to be made up for." * bool(row["missing"])
    return [_seam("slots", row, through=row["seen"] - row["missing"], why=why)]


_READERS: Mapping[str, Callable[[Mapping[str, Any]], list[Seam]]] = {
    "events": _changes,
    "runs": _runs,
    "sends": _sends,
    "messages": _messages,
    "dead": _dead,
    "slots": _slots,
}


def _seam(stage: str, row: Mapping[str, Any], *, through: int, why: str, recoverable: int = 0) -> Seam:
    return Seam(
        stage=stage,
        subject=row["subject"],
        seen=row["seen"],
        through=through,
        missing=row["missing"],
        recoverable=recoverable,
        why=why,
        examples=tuple(row["examples"] or ()),
    )


def _rows(ledger: Ledger, query: str, window: Window) -> Sequence[dict[str, Any]]:
    values = {
        "project_id": ledger.project_id,
        "begin": window.begin,
        "end": window.end,
        "shift": window.shift,
        "workflow": window.workflow,
    }
    with ledger.transaction() as conn, conn.cursor(row_factory=dict_row) as cursor:
        cursor.execute(_QUERIES["patience"])
        return cursor.execute(_QUERIES[query], values).fetchall()
