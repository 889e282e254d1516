"""The oracle: who is owed what, told from what was committed alone. Plain Python; it knows nothing of our code.

It states each workflow of workflows.yaml a second time, in other words, so that both can't be wrong in the same way.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from tests.faults.trader import PEOPLE, TEAMS

SETTLE = 0.5
"""Seconds for which `invoice-due` waits."""
SLACK = "#alerts"


class Owed(NamedTuple):
    """One message for one person about one version of one row."""

    workflow: str
    row: int
    version: int
    to: str


@dataclass(frozen=True)
class Due:
    """How an owed message is owed."""

    at: float
    """The earliest moment at which it may be sent: wall clock, seconds."""
    must: bool = True
    """False where it depends on who was quicker: our look at the row, or the next write to it."""


@dataclass(frozen=True)
class Change:
    """One change of one row in a transaction that was committed."""

    table: str
    op: str
    old: Mapping[str, Any] | None
    new: Mapping[str, Any] | None
    stated: float
    """When the statement was sent: it was captured after that."""
    committed: float
    """When the answer to COMMIT was there: everybody sees it since then, at the latest."""
    transaction: int


def changes(records: Iterable[Mapping[str, Any]]) -> list[Change]:
    """Return every committed change of a history, those of one row in their order."""
    return [
        Change(**change, committed=record["at"], transaction=record["transaction"])
        for record in records
        if record["kind"] == "committed"
        for change in record["changes"]
    ]


def email(person: int) -> str:
    """Return a person's address."""
    return f"person{person}@trade.test"


def owed_by(records: Sequence[Mapping[str, Any]]) -> dict[Owed, Due]:
    """Return everything that is owed for a history."""
    happened = changes(records)
    owed: dict[Owed, Due] = {}
    for change in happened:
        for workflow, row, to in _told_at_once(change):
            owed[Owed(workflow, row["id"], row["version"], to)] = Due(change.committed)
    owed.update(_reminders(happened))
    for record in records:
        if record["kind"] == "round":
            for paper in record["papers"]:
                owed[Owed("paper-round", paper["id"], paper["version"], email(paper["person"]))] = Due(record["at"])
    return owed


def _told_at_once(change: Change) -> Iterator[tuple[str, Mapping[str, Any], str]]:
    """Yield workflow, row and address of what is sent as soon as it can be."""
    old, new = change.old, change.new
    if change.table == "parcels":
        if new and new["state"] == "sent" and not (old and old["state"] == "sent"):
            yield "parcel-sent", new, email(new["person"])
        if old and new is None:
            yield "parcel-lost", old, email(old["person"])
    if change.table == "alarms":
        if new and old is None:
            team = (person for person in range(1, PEOPLE + 1) if person % TEAMS == new["team"])
            yield from (("alarm-raised", new, email(person)) for person in team)
        if new and old and new["level"] > old["level"]:
            yield "alarm-posted", new, SLACK


def _reminders(happened: Iterable[Change]) -> Iterator[tuple[Owed, Due]]:
    """Yield what is sent only if nothing happened to the row until then."""
    by_row: defaultdict[int, list[Change]] = defaultdict(list)
    for change in happened:
        if change.table == "invoices":
            row = change.new or change.old or {}
            by_row[row["id"]].append(change)
    for row_changes in by_row.values():
        for change, following in zip(row_changes, [*row_changes[1:], None], strict=True):
            old, new = change.old, change.new
            if new is None or new["state"] != "open" or (old and old["state"] == "open"):
                continue
            owed, at = Owed("invoice-due", new["id"], new["version"], email(new["person"])), change.stated + SETTLE
            if following is None:
                yield owed, Due(at=max(at, change.committed))
            elif following.transaction != change.transaction and following.committed >= at:
                yield owed, Due(at=at, must=False)
