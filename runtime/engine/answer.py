"""The answer to a question about what happened: runs, what never became one, and what else can be said of it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from runtime.engine.story import RunStory, spoken

_CLAUSES = {
    "op": "were another operation",
    "becomes": "were not in the state that `becomes` asks for",
    "before": "had been in that state before",
    "columns": "left the watched columns as they were",
    "when": "failed on `when`",
}


@dataclass(frozen=True)
class Failure:
    """Something that failed before there was a run, kept as a dead letter."""

    id: int
    workflow: str
    version: int
    stage: str
    """match or expand."""
    error: str
    at: datetime
    event_id: int | None
    relation: str
    key: Mapping[str, Any] | None
    slot: str | None

    def line(self) -> str:
        """Say it in one sentence."""
        what = (
            f"The slot of {self.slot}"
            if self.stage == "expand"
            else f"A change of {self.relation} {spoken(self.key or {})}"
        )
        whose = f"{self.workflow}, version {self.version}"
        return f"{what.strip()} failed for {whose}: {self.error.rstrip('.')}. It is kept: dead letter {self.id}."


@dataclass(frozen=True)
class Counts:
    """Changes that reached a version since a day, and the first clause on which those that did not match failed."""

    workflow: str
    version: int
    since: date
    seen: int
    matched: int
    unmet: Mapping[str, int]
    failed: int

    def line(self) -> str:
        """Say it in one sentence."""
        parts = [f"{count:,} {_CLAUSES[name]}" for name, count in self.unmet.items() if count]
        parts += [f"{self.failed:,} could not be asked"] if self.failed else []
        others = f" Of the others {', '.join(parts)}." if parts else ""
        return (
            f"{self.workflow}, version {self.version}: since {self.since} {self.seen:,} change(s) came to be judged, "
            f"{self.matched:,} matched.{others} What the hook could rule out at once is not among them."
        )


@dataclass(frozen=True)
class ClauseAnswer:
    """A part of a trigger, asked of the row as it is now."""

    name: str
    sql: str
    """As its author wrote it."""
    holds: bool | None
    """None: it can't be told now."""
    note: str = ""


@dataclass(frozen=True)
class Trial:
    """A trigger asked of a row AS IT IS NOW, which is not how it was when it changed."""

    workflow: str
    version: int
    relation: str
    key: str
    exists: bool
    clauses: tuple[ClauseAnswer, ...] = ()

    def lines(self) -> Iterator[str]:
        """Tell it in sentences."""
        whose = f"{self.workflow}, version {self.version}"
        if not self.exists:
            yield f"As things are NOW, {whose}: {self.relation} has no row {self.key}."
            return
        yield f"The row {self.relation} {self.key} as it is NOW, asked by {whose} (what it was before is unknown):"
        for clause in self.clauses:
            answer = {True: "holds", False: "does not hold", None: "can't be told"}[clause.holds]
            yield f"`{clause.name}: {clause.sql}` {answer} now{f': {clause.note}' if clause.note else ''}."


@dataclass(frozen=True)
class Explanation:
    """The answer to one question."""

    question: str
    held: str = ""
    """Why the whole project is held."""
    runs: tuple[RunStory, ...] = ()
    """Those that reached whom or what was asked about come first, then the newest."""
    failures: tuple[Failure, ...] = ()
    counts: tuple[Counts, ...] = ()
    trials: tuple[Trial, ...] = ()
    notes: tuple[str, ...] = ()
    """What else bears on it: suppressions, slots that passed, what is not watched."""

    def lines(self) -> tuple[str, ...]:
        """Return the answer as sentences, in order."""
        return tuple(self._lines())

    def _lines(self) -> Iterator[str]:
        if self.held:
            yield f"Everything is held: {self.held}"
        yield from self.notes
        for run in self.runs:
            yield from run.lines()
        yield from (failure.line() for failure in self.failures)
        yield from (counts.line() for counts in self.counts)
        for trial in self.trials:
            yield from trial.lines()
        if not (self.runs or self.failures or self.counts or self.trials):
            yield f"Nothing is known of {self.question}: no change or slot has started a run for it."
