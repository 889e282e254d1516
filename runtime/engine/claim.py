"""The claim: captured changes become runs of the versions that they match. One transaction, a few statements."""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from psycopg import Connection, Error

from runtime.capture.outbox import Captured, ask_batch, remove
from runtime.engine.canary import canary_hook, claim_canaries
from runtime.engine.engine import Engine, Moment, enter, entered
from runtime.engine.faults import is_fault_of_rows
from runtime.engine.matching import Columns, Matched, Matching
from runtime.ledger.project import ask_project
from runtime.ledger.queries import load_queries
from runtime.publishing.versions import Version, versions_of_hooks

_QUERIES = load_queries("runtime.engine")
_CAREFUL = 30.0
"""Seconds for which the claim looks at each version by itself after a condition failed."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Claimed:
    """What one claim took over from the outbox."""

    events: int = 0
    runs: int = 0
    work: list[int] = field(default_factory=list)
    """What to nudge for."""


def claim(engine: Engine, *, limit: int = 500) -> Claimed:
    """Take the oldest captured changes out of the outbox and start the runs of every version that they match.

    All of it is one transaction: a change is in the outbox, or its runs are there. A version whose condition fails on
    a change gets a dead letter for it, everything else goes on. Of claims at the same time one takes changes and the
    others none, so that runs start in capture order. Nothing happens while the project is held.
    """
    careful = engine.memory.is_on("careful")
    try:
        return _claim(engine, limit, careful=careful)
    except Error as error:
        if careful or not is_fault_of_rows(error):
            raise
        engine.memory.switch_on("careful", _CAREFUL)
        return _claim(engine, limit, careful=True)


def _claim(engine: Engine, limit: int, *, careful: bool) -> Claimed:
    """Claim, sending all statements without waiting for each; `careful`: each version's in a savepoint of its own."""
    with engine.ledger.pipelined() as conn:
        if engine.memory.is_on("held") and enter(engine, conn) is None:
            return Claimed()
        low_water = engine.memory.low_water(conn)
        batch = ask_batch(conn, limit=limit, low_water=low_water)
        # After the lock: whoever sees a change sees the publish that made its hook.
        asked = ask_project(conn, engine.ledger.project_id, with_settings=_QUERIES["patience"])
        captured = batch.fetchall()
        moment = entered(engine, conn, asked)
        if moment is None:
            engine.memory.switch_on("held", _CAREFUL)
        if moment is None or not captured:
            return Claimed()
        return _Claim(engine, conn, moment, careful=careful).carry_over(captured)


class _Hook(NamedTuple):
    """A hook whose changes were captured."""

    project_id: int
    columns: Columns
    """Of its table, as they are now; empty when the table is gone."""


class _Claim:
    """One claim's transaction."""

    def __init__(self, engine: Engine, conn: Connection[Any], moment: Moment, *, careful: bool) -> None:
        self._memory = engine.memory
        self._conn = conn
        self._moment = moment
        self._project_id = moment.project.id
        self._careful = careful

    def carry_over(self, captured: Sequence[Captured]) -> Claimed:
        """Start runs, keep what must be kept, and remove the changes."""
        hooks = self._hooks(sorted({event.hook_id for event in captured}))
        ours = [event for event in captured if self._is_ours(hooks.get(event.hook_id))]
        ats = {event.id: self._moment.clock.stamp(event.captured_at) for event in ours}
        matched = self._start(list(self._matchings(ours, ats, hooks)), self._canaries(ours))
        remove(self._conn, list(ats))
        found = matched()
        _log.info("changes.claimed events=%d runs=%d", len(ats), found.runs)
        return Claimed(len(ats), found.runs, found.work)

    def _hooks(self, hook_ids: Sequence[int]) -> Mapping[int, _Hook]:
        """Return the hooks, with columns that are hardly ever older than a second: an old payload has the old ones."""
        generation = self._moment.project.live_generation
        known = self._memory.as_of(generation, "hooks", lambda: self._load_hooks(hook_ids))
        if self._careful or not self._memory.is_on("hooks") or not known.keys() >= set(hook_ids):
            self._memory.forget("hooks")
            self._memory.switch_on("hooks", 1.0)
            wanted = sorted({*known, *hook_ids})
            known = self._memory.as_of(generation, "hooks", lambda: self._load_hooks(wanted))
        return known

    def _load_hooks(self, hook_ids: Sequence[int]) -> dict[int, _Hook]:
        rows = self._conn.execute(_QUERIES["hooks_at_hand"], {"hook_ids": list(hook_ids)})
        return {
            hook_id: _Hook(project_id, tuple((name, kind) for name, kind in columns))
            for hook_id, project_id, columns in rows
        }

    def _is_ours(self, hook: _Hook | None) -> bool:
        """Return whether a change is ours to take; one whose hook is gone is nobody's."""
        return hook is None or hook.project_id == self._project_id

    def _matchings(
        self, events: Sequence[Captured], ats: Mapping[int, datetime], hooks: Mapping[int, _Hook]
    ) -> Iterator[Matching]:
        """Yield each version with its own changes: those of the hook's generations in which it was live."""
        groups: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
        for event in events:
            groups[event.hook_id, event.generation].append(event.id)
        for version in self._versions():
            own = [ids for group, ids in groups.items() if _belongs(group, version)]
            if own:
                hook = hooks.get(version.hook_id or 0)
                its = {event_id: ats[event_id] for ids in own for event_id in ids}
                yield Matching(self._project_id, version, its, hook.columns if hook else (), self._moment.now)

    def _canaries(self, ours: Sequence[Captured]) -> list[int]:
        """Return the work of the canaries among the changes."""
        generation = self._moment.project.live_generation
        hook_id = self._memory.as_of(generation, "canary", lambda: canary_hook(self._conn, self._project_id))
        event_ids = [event.id for event in ours if event.hook_id == hook_id]
        return claim_canaries(self._conn, self._project_id, event_ids, self._moment.now)

    def _versions(self) -> tuple[Version, ...]:
        """Return every version that has a hook, as of a generation that was read after the events were locked."""
        generation = self._moment.project.live_generation
        return self._memory.as_of(generation, "hooked", lambda: versions_of_hooks(self._conn, self._project_id))

    def _start(self, matchings: Sequence[Matching], work: list[int]) -> Callable[[], Matched]:
        """Start runs, and return what gives all that was started, and the work with it."""
        found = Matched(work=work)
        asked = [] if self._careful else [matching.begin(self._conn) for matching in matchings]
        for matching in matchings if self._careful else ():
            matched = matching.carefully(self._conn)
            found.add((matched.runs, matched.work))
            if matched.failed:
                version = matching.version
                _log.warning(
                    "changes.failed workflow=%s version=%d events=%d", version.name, version.id, len(matched.failed)
                )

        def read() -> Matched:
            for cursor in asked:
                found.add((cursor.fetchone() if cursor else None) or (0, []))
            found.work.sort()
            return found

        return read


def _belongs(group: tuple[int, int], version: Version) -> bool:
    hook_id, generation = group
    first, end = version.from_generation or 0, version.until_generation
    return hook_id == version.hook_id and first <= generation and (end is None or generation < end)
