"""Runs on their way: loaded as a set, decided about in memory, written back as a set."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from psycopg import Connection, Cursor
from psycopg.rows import class_row

from runtime.delivery.message import Send
from runtime.ledger.arrays import int_array, text_array, time_array
from runtime.ledger.jsonb import to_json
from runtime.ledger.queries import load_queries
from runtime.source.batch import Batch

_QUERIES = load_queries("runtime.engine")
_RUNS_OF_WORK = _QUERIES["load_runs"].replace("%(ids)s::int8[]", _QUERIES["runs_of_work"])
CHUNK = 200
"""The most runs that are advanced together."""
IF = -1
"""The step that is the workflow's own `if`."""


class Run(NamedTuple):
    """A run, with the change, slot or item that started it. JSON stays text."""

    id: int
    version_id: int
    state: str
    step: int
    """What is to be done next; IF is asked before the first."""
    step_at: datetime
    at: datetime
    new: str | None
    old: str | None
    item: str | None
    context: str
    workflow_id: int = 0
    paused_for: int | None = None
    """The pause in which it rests: of everything (0), or of its workflow."""
    brake: int | None = None
    """How many people its workflow may tell within an hour; None: it does not count, or there is no brake."""
    discarded_by: str | None = None
    """Who decided that it is to end without telling anybody."""
    reason: str | None = None


class StepResult(NamedTuple):
    """What a step of a run did, or why it did nothing."""

    run_id: int
    step: int
    name: str
    status: str
    """done, skipped, waiting, ended or failed."""
    reason: str
    detail: Mapping[str, Any]


def load_runs(conn: Connection[Any], project_id: int, ids: Sequence[int]) -> list[Run]:
    """Return those of the runs that are under way, in the order in which they started."""
    values = {"project_id": project_id, "ids": list(ids)}
    return conn.cursor(row_factory=class_row(Run)).execute(_QUERIES["load_runs"], values).fetchall()


def ask_runs_of(conn: Connection[Any], project_id: int, work_id: int) -> Cursor[Run]:
    """Ask for such runs of a piece of work that advances some; in a pipeline nothing waits for it until it is read."""
    values = {"project_id": project_id, "work_id": work_id}
    return conn.cursor(row_factory=class_row(Run)).execute(_RUNS_OF_WORK, values)


def batch_of(runs: Iterable[Run]) -> Batch:
    """Return the data of runs as statements want it."""
    batch = Batch(ids=[], at=[])
    for run in runs:
        batch.ids.append(run.id)
        batch.at.append(run.at)
        batch.new.append(run.new)
        batch.old.append(run.old)
        batch.item.append(run.item)
        batch.context.append(run.context)
    return batch


@dataclass
class Decisions:
    """What was decided about some runs and is not written yet. A run is open until it rests or is over."""

    now: datetime
    runs: dict[int, Run]
    """As they stand."""
    open: set[int] = field(default_factory=set)
    touched: set[int] = field(default_factory=set)
    grown: set[int] = field(default_factory=set)
    """Runs with a new context."""
    results: dict[tuple[int, int], StepResult] = field(default_factory=dict)
    timers: dict[int, datetime] = field(default_factory=dict)
    errors: dict[int, str] = field(default_factory=dict)
    sends: list[Send] = field(default_factory=list)
    later: list[list[int]] = field(default_factory=list)
    """Runs that are to go on in a piece of work of their own, group by group."""

    def next_group(self) -> list[Run]:
        """Return the open runs of one version that are furthest behind, at one step; nothing when all rest."""
        waiting = [self.runs[run_id] for run_id in self.open]
        if not waiting:
            return []
        version_id, step = min((run.version_id, run.step) for run in waiting)
        group = [run for run in waiting if run.version_id == version_id and run.step == step]
        return sorted(group, key=lambda run: run.id)

    def go_on(self, run: Run, steps: int) -> None:
        """Let a run take its next step, or complete it after its last."""
        following = run.step + 1
        over = following >= steps
        self._stands(run._replace(step=following, step_at=self.now, state="completed" if over else "active"), over=over)

    def note(self, run: Run, name: str, status: str, reason: str = "", **detail: Any) -> None:
        """Record what the step at which the run stands did."""
        self.results[run.id, run.step] = StepResult(run.id, run.step, name, status, reason, detail)

    def remember(self, run: Run, name: str, rows: str) -> Run:
        """Return the run with the rows (JSON) that a query gave it."""
        separator = "" if run.context == "{}" else ", "
        grown = run._replace(context=f"{run.context[:-1]}{separator}{to_json(name)}: {rows}}}")
        self.grown.add(run.id)
        self._stands(grown, over=False)
        return grown

    def wait(self, run: Run, until: datetime) -> None:
        """Let a run rest until an instant."""
        self.timers[run.id] = until
        self._stands(run._replace(state="waiting"), over=True)

    def end(self, run: Run, name: str, reason: str, **detail: Any) -> None:
        """End a run for a reason that is none of an error."""
        self.note(run, name, "ended", reason, **detail)
        self._stands(run._replace(state="ended", reason=reason), over=True)

    def fail(self, run: Run, name: str, why: str) -> None:
        """End a run that can't go on."""
        self.note(run, name, "failed", why)
        self.errors[run.id] = why
        self._stands(run._replace(state="failed", reason=why), over=True)

    def put_off(self, runs: Sequence[Run]) -> None:
        """Leave runs as they stand, for a piece of work of their own."""
        self.later.append([run.id for run in runs])
        self.open -= {run.id for run in runs}

    def leave(self, run_ids: Collection[int]) -> None:
        """Undo what was decided about runs: they stay as they are stored, and others go on."""
        self.sends = [send for send in self.sends if send.run_id not in run_ids]
        self.later = [left for ids in self.later if (left := [run_id for run_id in ids if run_id not in run_ids])]
        self.results = {key: result for key, result in self.results.items() if key[0] not in run_ids}
        for known in (self.timers, self.errors):
            for run_id in run_ids:
                known.pop(run_id, None)
        for ids in (self.open, self.touched, self.grown):
            ids -= set(run_ids)

    def _stands(self, run: Run, *, over: bool) -> None:
        self.runs[run.id] = run
        self.touched.add(run.id)
        if over:
            self.open.discard(run.id)


def store_runs(conn: Connection[Any], project_id: int, decided: Decisions) -> None:
    """Write where runs stand, what their steps did, their timers and failures; in the caller's transaction."""
    values: dict[str, Any] = {"project_id": project_id, "now": decided.now}
    for outcome, run_ids in _outcomes(decided).items():
        grown = [run_id for run_id in run_ids if run_id in decided.grown]
        contexts = ", ".join(f'"{run_id}": {decided.runs[run_id].context}' for run_id in grown)
        stands = {**outcome._asdict(), "ids": int_array(run_ids), "contexts": f"{{{contexts}}}" if grown else None}
        conn.execute(_QUERIES["store_runs"], values | stands)
    if decided.results:
        columns = zip(*decided.results.values(), strict=True)
        run_ids, steps, *texts, details = columns
        results = {"run_id": int_array(run_ids), "step": int_array(steps), "detail": text_array(map(to_json, details))}
        results |= dict(zip(("name", "status", "reason"), map(text_array, texts), strict=True))
        conn.execute(_QUERIES["store_results"], values | results)
    if decided.timers:
        timers = {"run_id": int_array(decided.timers), "due_at": time_array(decided.timers.values())}
        conn.execute(_QUERIES["store_timers"], values | timers)
    if decided.errors:
        failures = {"run_id": list(decided.errors), "error": list(decided.errors.values())}
        conn.execute(_QUERIES["store_failures"], values | failures)


class _Outcome(NamedTuple):
    """Where some runs stand."""

    state: str
    reason: str | None
    step: int
    step_at: datetime | None
    """None: as it was."""


def _outcomes(decided: Decisions) -> dict[_Outcome, list[int]]:
    """Return the runs that changed by what became of them: mostly they all came to the same."""
    found: dict[_Outcome, list[int]] = {}
    for run_id in sorted(decided.touched):
        run = decided.runs[run_id]
        moved = decided.now if run.step_at == decided.now else None
        found.setdefault(_Outcome(run.state, run.reason, run.step, moved), []).append(run_id)
    return found


def chunks(ids: Sequence[int], size: int) -> Iterator[list[int]]:
    """Yield the ids in lists of at most that size."""
    for start in range(0, len(ids), size):
        yield list(ids[start : start + size])
