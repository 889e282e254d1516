"""The claim: captured changes become runs of the versions that they match. One transaction, a few statements."""

import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from psycopg import Connection

from runtime.capture.outbox import Captured, lock_batch, remove
from runtime.engine.engine import Engine, Moment, enter
from runtime.engine.matching import Columns, Matched, start_runs
from runtime.engine.runs import CHUNK, chunks
from runtime.ledger.arrays import int_array, text_array, time_array
from runtime.ledger.jsonb import to_json
from runtime.ledger.queries import load_queries
from runtime.ledger.work import add
from runtime.publishing.versions import Version, versions_of_hooks

_QUERIES = load_queries("runtime.engine")
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
    a change gets a dead letter for it, everything else goes on. Claims may run side by side. Nothing happens while the
    project is held.
    """
    with engine.ledger.transaction() as conn:
        low_water = engine.memory.low_water(conn)
        moment = enter(engine, conn)
        captured = lock_batch(conn, limit=limit, low_water=low_water) if moment else []
        if moment is None or not captured:
            return Claimed()
        return _Claim(engine, conn, moment).carry_over(captured)


class _Hook(NamedTuple):
    """A hook whose changes were captured."""

    project_id: int
    live_generation: int
    columns: Columns
    """Of its table, as they are now; empty when the table is gone."""


class _Claim:
    """One claim's transaction."""

    def __init__(self, engine: Engine, conn: Connection[Any], moment: Moment) -> None:
        self._memory = engine.memory
        self._conn = conn
        self._moment = moment
        self._project_id = moment.project.id

    def carry_over(self, captured: Sequence[Captured]) -> Claimed:
        """Start runs, keep what must be kept, and remove the changes."""
        hooks = self._hooks(captured)
        ours = [event for event in captured if self._is_ours(hooks.get(event.hook_id))]
        ats = {event.id: self._moment.clock.stamp(event.captured_at) for event in ours}
        found = [self._start(version, events, hooks) for version, events in self._by_version(ours, ats, hooks)]
        self._keep(found, ats)
        removed = remove(self._conn, list(ats))
        runs = [run_id for matched in found for run_id in matched.runs]
        work = add(self._conn, self._project_id, "advance", list(chunks(runs, CHUNK)), self._moment.now)
        _log.info("changes.claimed events=%d runs=%d", removed, len(runs))
        return Claimed(removed, len(runs), work)

    def _hooks(self, captured: Sequence[Captured]) -> dict[int, _Hook]:
        hook_ids = sorted({event.hook_id for event in captured})
        rows = self._conn.execute(_QUERIES["hooks_at_hand"], {"project_id": self._project_id, "hook_ids": hook_ids})
        return {
            hook_id: _Hook(project_id, generation, tuple((name, kind) for name, kind in columns))
            for hook_id, project_id, generation, _, columns in rows
        }

    def _is_ours(self, hook: _Hook | None) -> bool:
        """Return whether a change is ours to take; one whose hook is gone is nobody's."""
        return hook is None or hook.project_id == self._project_id

    def _by_version(
        self, events: Sequence[Captured], ats: Mapping[int, datetime], hooks: Mapping[int, _Hook]
    ) -> Iterator[tuple[Version, dict[int, datetime]]]:
        """Yield each version with its own changes: those of the hook's generations in which it was live."""
        groups: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
        for event in events:
            groups[event.hook_id, event.generation].append(event.id)
        generation = next((hook.live_generation for hook in hooks.values()), None)
        for version in () if generation is None else self._versions(generation):
            own = [ids for group, ids in groups.items() if _belongs(group, version)]
            if own:
                yield version, {event_id: ats[event_id] for ids in own for event_id in ids}

    def _versions(self, generation: int) -> tuple[Version, ...]:
        """Return every version that has a hook, as of a generation that was read after the events were locked."""
        return self._memory.as_of(generation, "hooked", lambda: versions_of_hooks(self._conn, self._project_id))

    def _start(self, version: Version, events: Mapping[int, datetime], hooks: Mapping[int, _Hook]) -> Matched:
        hook = hooks.get(version.hook_id or 0)
        matched = start_runs(
            self._conn,
            self._project_id,
            version=version,
            events=events,
            columns=hook.columns if hook else (),
            now=self._moment.now,
        )
        if matched.failed:
            _log.warning(
                "changes.failed workflow=%s version=%d events=%d", version.name, version.id, len(matched.failed)
            )
        return matched

    def _keep(self, found: Sequence[Matched], ats: Mapping[int, datetime]) -> None:
        """Keep the changes that started runs, those that failed, and the counts of all."""
        started = sorted(set().union(*(matched.event_ids for matched in found)))
        if started:
            when = {"ids": int_array(started), "ats": time_array(ats[event_id] for event_id in started)}
            self._conn.execute(_QUERIES["keep_events"], {"project_id": self._project_id, **when})
        failed = [(matched.version.id, event_id, why) for matched in found for event_id, why in matched.failed.items()]
        if failed:
            values = {
                "project_id": self._project_id,
                "version_ids": int_array(version_id for version_id, _, _ in failed),
                "ids": int_array(event_id for _, event_id, _ in failed),
                "ats": time_array(ats[event_id] for _, event_id, _ in failed),
                "errors": text_array(why for _, _, why in failed),
            }
            self._conn.execute(_QUERIES["keep_unmatched"], values)
        if found:
            counts = to_json([_counts(matched) for matched in found])
            values = {"project_id": self._project_id, "day": self._moment.now.date(), "counts": counts}
            self._conn.execute(_QUERIES["count_matches"], values)


def _belongs(group: tuple[int, int], version: Version) -> bool:
    hook_id, generation = group
    first, end = version.from_generation or 0, version.until_generation
    return hook_id == version.hook_id and first <= generation and (end is None or generation < end)


def _counts(matched: Matched) -> dict[str, int]:
    unmet = {clause: matched.unmet[clause] for clause in ("op", "becomes", "before", "columns", "when")}
    told = {"matched": len(matched.runs), "failed": len(matched.failed)}
    return {"version_id": matched.version.id, "seen": sum((*unmet.values(), *told.values())), **told, **unmet}
