"""The engine as a value, and the gate in front of everything it does."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from psycopg import Connection

from runtime.capture.outbox import Bound, LowWater
from runtime.clock import Clock
from runtime.delivery.provider import Delivery
from runtime.ledger.database import Ledger
from runtime.ledger.project import Asked, Project, ask_project, clock_for, hold
from runtime.publishing.versions import Version, load_version
from runtime.source.reader import Source

_log = logging.getLogger(__name__)
_MOST_VERSIONS = 500
_FLOOR_SECONDS = 60.0
_LATE = timedelta(seconds=30)
"""How much later than its instant something may appear and still be found at once."""
Known = TypeVar("Known")


class Memory:
    """What a process knows already of its project. Nothing depends on it but speed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._versions: dict[int, Version] = {}
        self._by_generation: dict[str, tuple[int, Any]] = {}
        self._floors: dict[str, tuple[datetime, datetime]] = {}
        self._until: dict[str, float] = {}
        self._marks: WeakKeyDictionary[Connection[Any], LowWater] = WeakKeyDictionary()

    def version(self, ledger: Ledger, version_id: int) -> Version:
        """Return a version. Only what never changes of it may be used: the answer can be old."""
        known = self._versions.get(version_id)
        if known is None:
            known = load_version(ledger, version_id)
            if len(self._versions) >= _MOST_VERSIONS:
                self._versions = {}
            self._versions[version_id] = known
        return known

    def as_of(self, generation: int, what: str, load: Callable[[], Known]) -> Known:
        """Return what `load` gives; it is called again only when the project's live_generation is another."""
        known = self._by_generation.get(what)
        if known is None or known[0] != generation:
            known = self._by_generation[what] = (generation, load())
        return known[1]

    def forget(self, what: str) -> None:
        """Load it again when it is asked for next."""
        self._by_generation.pop(what, None)

    def switch_on(self, what: str, seconds: float) -> None:
        """Remember something for so long."""
        self._until[what] = time.monotonic() + seconds

    def is_on(self, what: str) -> bool:
        """Return whether it is remembered still."""
        return time.monotonic() < self._until.get(what, 0.0)

    def floor(self, what: str, now: datetime) -> datetime | None:
        """Return up to which instant nothing is left of something; None: look from the beginning.

        A floor holds for a minute, so that what came up below it late, out of a transaction that took long, is found.
        """
        known = self._floors.get(what)
        return known[1] if known and self.is_on(what) and known[0] <= now else None

    def set_floor(self, what: str, now: datetime, *, nothing_before: datetime, from_the_beginning: bool = True) -> None:
        """Remember that nothing is left of something before an instant, as was just found out."""
        self._floors[what] = (now, min(nothing_before, now - _LATE))
        if from_the_beginning:
            self.switch_on(what, _FLOOR_SECONDS)

    def low_water(self, conn: Connection[Any]) -> Bound:
        """Return from where on the outbox must be looked at; call it first in a transaction."""
        with self._lock:
            return self._marks.setdefault(conn, LowWater()).advance(conn)


@dataclass(frozen=True)
class Engine:
    """Everything the engine works with. Safe to share between threads."""

    ledger: Ledger
    source: Source
    delivery: Delivery
    environment: str = "development"
    """What this process runs as; a project that is bound to another environment is held."""
    clock: Clock | None = None
    """None: the project's clock, read again for each unit of work."""
    lease: timedelta = timedelta(seconds=60)
    """How long a piece of work is a worker's own before another may take it over."""
    memory: Memory = field(default_factory=Memory, repr=False, compare=False)


@dataclass(frozen=True)
class Moment:
    """What holds for one unit of work."""

    project: Project
    clock: Clock
    now: datetime


def enter(engine: Engine, conn: Connection[Any]) -> Moment | None:
    """Return the moment in which a unit of work happens, or None when nothing may happen.

    Nothing may happen while the project is held, and it is held from here on where its state was made for another
    database or environment. The caller's transaction must commit.
    """
    return entered(engine, conn, ask_project(conn, engine.ledger.project_id))


def entered(engine: Engine, conn: Connection[Any], asked: Asked) -> Moment | None:
    """Return the same for a question that was sent before, in the same transaction."""
    project, reason = asked.answer(engine.environment)
    if project.held_reason is not None:
        return None
    if reason is not None:
        hold(conn, project.id, reason)
        _log.error("project.held project=%d reason=%s", project.id, reason)
        return None
    clock = engine.clock or clock_for(project)
    return Moment(project, clock, clock.stamp(project.read_at))  # a machine whose own clock is wrong does no harm
