"""What happens at each kind of step, decided for all runs of a version that stand there. Nothing is written here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from runtime.delivery.message import People, Send
from runtime.engine.names import names_of
from runtime.engine.questions import Questions, Rows
from runtime.engine.runs import IF, Decisions, Run
from runtime.engine.waits import later
from runtime.ledger.jsonb import to_json
from runtime.publishing.versions import Version
from runtime.source.statements import ROW_CAP
from runtime.spec.compiled import CompiledStep, Statement
from runtime.spec.model import SendStep
from runtime.spec.placeholders import columns_printed

MOST_PEOPLE = 100_000
"""That one run may tell in one step."""
_ENOUGH_PEOPLE = 2_000
"""For one piece of work; the runs beyond are left to another."""


@dataclass(frozen=True)
class Steps:
    """The steps of one version."""

    version: Version
    ask: Questions
    zone: str
    """The project's."""

    def take(self, runs: Sequence[Run]) -> None:
        """Decide what becomes of runs that stand at the same step."""
        number = runs[0].step
        if number == IF:
            self._begin(runs)
            return
        step = self.version.compiled.steps[number]
        if step.kind != "wait" and step.query is None:
            for run in runs:
                self._decided.fail(run, step.name, "This version was stored without it. Publish the workflow again.")
            return
        match step.kind:
            case "query":
                self._query(step, self._unless_skipped(step, runs))
            case "wait":
                released = [run for run in runs if run.state == "waiting"]
                fresh = self._unless_skipped(step, [run for run in runs if run.state != "waiting"])
                self._wait(step, [*self._while(step, released), *fresh])
            case _:
                self._send(step, number, self._unless_skipped(step, self._while(step, runs)))

    @property
    def _decided(self) -> Decisions:
        return self.ask.decided

    def _begin(self, runs: Sequence[Run]) -> None:
        """Ask the workflow's own `if`."""
        condition = self.version.compiled.condition
        answers = self.ask.holds(condition, runs, "if") if condition else dict.fromkeys((run.id for run in runs), True)
        for run in _answered(runs, answers):
            if answers[run.id]:
                self._go_on(run)
            else:
                self._decided.end(run, "if", "condition_false")

    def _while(self, step: CompiledStep, runs: Sequence[Run]) -> list[Run]:
        """Return the runs for which `while` is still true, and end the others."""
        compiled = self.version.compiled
        if compiled.while_ is None or not runs:
            return list(runs)
        answers = self.ask.holds(compiled.while_, runs, step.name)
        lost = [run for run in _answered(runs, answers) if not answers[run.id]]
        there = self._still_there(compiled.row, lost, step.name)
        for run in lost:
            if run.id in there:
                self._decided.end(run, step.name, there[run.id])
        return [run for run in _answered(runs, answers) if answers[run.id]]

    def _still_there(self, row: Statement | None, runs: Sequence[Run], name: str) -> dict[int, str]:
        """Return why `while` is false: the row is gone, or it is another now."""
        reasons = {run.id: "while_false" for run in runs}
        changed = [run for run in runs if run.new is not None]
        if row is None or not changed:
            return reasons
        found = self.ask.rows(row, changed, name)
        gone = {run.id: "while_false" if found.get(run.id) else "gone" for run in changed if run.id in found}
        return {run_id: reason for run_id, reason in (reasons | gone).items() if run_id in self._decided.open}

    def _unless_skipped(self, step: CompiledStep, runs: Sequence[Run]) -> list[Run]:
        """Return the runs for which the step's `if` is true, and let the others pass it by."""
        if step.condition is None or not runs:
            return list(runs)
        answers = self.ask.holds(step.condition, runs, step.name)
        for run in _answered(runs, answers):
            if not answers[run.id]:
                self._decided.note(run, step.name, "skipped", "condition_false")
                self._go_on(self._decided.remember(run, step.name, "[]") if step.kind == "query" else run)
        return [run for run in _answered(runs, answers) if answers[run.id]]

    def _query(self, step: CompiledStep, runs: Sequence[Run]) -> None:
        if step.query is None or not runs:
            return
        found = self.ask.rows(step.query, runs, step.name)
        for run in _answered(runs, found):
            rows = found[run.id]
            self._decided.note(run, step.name, "done", rows=len(rows))
            self._go_on(self._decided.remember(run, step.name, to_json(rows)))

    def _wait(self, step: CompiledStep, runs: Sequence[Run]) -> None:
        """Let runs rest until it is time; who is released is asked again, because the time may have moved."""
        if not runs:
            return
        until = self._until(step, runs)
        for run in _answered(runs, until):
            instant = until[run.id]
            if instant is not None and instant > self._decided.now:
                self._decided.note(run, step.name, "waiting", until=instant)
                self._decided.wait(run, instant)
            else:
                self._decided.note(run, step.name, "done", until=instant, waited=run.state == "waiting")
                self._go_on(run)

    def _until(self, step: CompiledStep, runs: Sequence[Run]) -> Mapping[int, datetime | None]:
        if step.until is not None:
            return self.ask.instants(step.until, runs, step.name)
        seconds, months = step.seconds or 0, step.months
        return {run.id: later(run.step_at, seconds=seconds, months=months, zone=self.zone) for run in runs}

    def _send(self, step: CompiledStep, number: int, runs: Sequence[Run]) -> None:
        spec = self.version.compiled.spec.steps[number]
        if step.query is None or not runs or not isinstance(spec, SendStep):
            return
        people = self._people(step, step.query, runs)
        live = self._live(step, spec, [run for run in _answered(runs, people) if people[run.id]])
        for run in _answered(runs, people):
            if run.id not in self._decided.open:
                continue
            told = people[run.id]
            self._decided.note(run, step.name, "done", "" if told else "nobody", people=len(told))
            if told:
                send = Send(
                    run_id=run.id,
                    step=number,
                    workflow=self.version.name,
                    channels=tuple(channel.value for channel in spec.channels),
                    category=spec.category,
                    topic=spec.topic,
                    texts=step.texts,
                    names=names_of(run, live.get(run.id)),
                    people=told,
                )
                self._decided.sends.append(send)
            self._go_on(run)

    def _people(self, step: CompiledStep, to: Statement, runs: Sequence[Run]) -> dict[int, People]:
        """Return whom runs are to tell. One with very many people is put off, and so is one that comes after enough.

        The very many people of a run that stands alone are read when their messages are made, slice by slice.
        """
        rows, over = self.ask.rows_up_to(to, runs, step.name, cap=ROW_CAP)
        found: dict[int, People] = {**rows}
        for run_id in over:
            run = self._decided.runs[run_id]
            if len(runs) > 1:
                self._decided.put_off([run])
            else:
                found |= self.ask.stream(to, run, step.name, cap=MOST_PEOPLE)
        so_far = sum(len(send.people) for send in self._decided.sends)
        left: list[Run] = []
        for run in _answered(runs, found):
            if so_far and so_far + len(found[run.id]) > _ENOUGH_PEOPLE:
                left.append(run)
            else:
                so_far += len(found[run.id])
        if left:
            self._decided.put_off(left)
        return {run_id: people for run_id, people in found.items() if run_id in self._decided.open}

    def _live(self, step: CompiledStep, spec: SendStep, runs: Sequence[Run]) -> dict[int, Rows]:
        """Return the rows as they are now, where the texts print them."""
        live = self.version.compiled.live
        if live is None or not runs or columns_printed(spec, "live") == frozenset():
            return {}
        return self.ask.rows(live, runs, step.name)

    def _go_on(self, run: Run) -> None:
        self._decided.go_on(run, len(self.version.compiled.steps))


def _answered(runs: Sequence[Run], answers: Mapping[int, object]) -> list[Run]:
    return [run for run in runs if run.id in answers]
