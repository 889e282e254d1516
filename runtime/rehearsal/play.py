"""Plays one scenario at a time: a world of its own, filled, a change, and all that follows until nothing is due."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from runtime.capture.health import capture_health
from runtime.rehearsal.durations import duration_end
from runtime.rehearsal.row import Row
from runtime.rehearsal.seen import Sent
from runtime.rehearsal.stage import seeds
from runtime.rehearsal.world import World
from runtime.spec.compiled import CompiledStep, CompiledWorkflow

_HORIZON = timedelta(days=800)
_JUMPS = 60
SECOND = timedelta(seconds=1)


@dataclass(frozen=True)
class Wait:
    """A wait that a run came to: what was sent a second before it was due, and what when it was."""

    step: str
    since: datetime
    due: datetime
    too_early: tuple[Sent, ...]
    sent: tuple[Sent, ...]
    over: bool
    """The run went on, or ended, when it was due."""


@dataclass(frozen=True)
class Followed:
    """Everything that followed a change, in virtual time."""

    at_once: tuple[Sent, ...]
    waits: tuple[Wait, ...]

    @property
    def sent(self) -> tuple[Sent, ...]:
        """Return all messages, in order."""
        later = (one for wait in self.waits for one in (*wait.too_early, *wait.sent))
        return (*self.at_once, *later)


class Play:
    """The scenarios' common ground: a world in which the workflow is live, emptied before each of them."""

    def __init__(self, base: World, compiled: CompiledWorkflow) -> None:
        self._base = base
        self.compiled = compiled
        self.missed: list[str] = []
        """What the hook failed to capture, in any scenario so far, in words."""

    @property
    def waits(self) -> list[CompiledStep]:
        """Return the workflow's waits."""
        return [step for step in self.compiled.steps if step.kind == "wait"]

    @contextmanager
    def world(self, rows: Iterable[Row]) -> Iterator[World]:
        """Yield the world at its beginning with these rows and no others, of which no workflow has heard."""
        self._base.begin_again()
        self._base.seed(seeds(rows))
        yield self._base
        self.missed += capture_health(self._base.connection, self._base.engine.ledger.project_id).reasons

    @contextmanager
    def copy(self, rows: Iterable[Row]) -> Iterator[World]:
        """Yield a copy of the world with these rows: for scenarios that change what is published."""
        with self._base.copied() as world:
            world.seed(seeds(rows))
            yield world

    def owed(self, wait: Wait, step: CompiledStep) -> datetime:
        """Return when a wait for a duration is to end; one that ends at an instant of the data is taken at its word."""
        if step.seconds is None or step.until is not None:
            return wait.due
        conn, zone = self._base.connection, self._base.zone
        return duration_end(conn, wait.since, months=step.months, seconds=step.seconds, zone=zone)

    def follow(self, world: World) -> Followed:
        """Let time pass until nothing is due any more, stopping a second before and at each instant; note it all."""
        at_once = tuple(world.sent())
        waits: list[Wait] = []
        for _ in range(_JUMPS):
            since, due = world.clock.now(), world.next_due()
            if due is None or due > since + _HORIZON:
                break
            waiting = [run for run in world.runs() if run.state == "waiting" and run.due_at == due]
            known = len(world.sent())
            if due - SECOND > since:
                world.advance(due - SECOND)
            early = tuple(world.sent()[known:])
            world.advance(due)
            sent = tuple(world.sent()[known + len(early) :])
            now = {run.id: run for run in world.runs()}
            over = all(now[run.id].state != "waiting" or now[run.id].due_at != due for run in waiting)
            waits.append(Wait((waiting[0].step or "") if waiting else "", since, due, early, sent, over))
        return Followed(at_once, tuple(waits))

    def run_out(self, world: World) -> list[Sent]:
        """Let time pass until nothing is due any more, and return everything that was sent."""
        for _ in range(_JUMPS):
            due = world.next_due()
            if due is None or due > world.clock.now() + _HORIZON:
                break
            world.advance(due)
        return world.sent()
