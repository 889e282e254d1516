"""Slots of schedules: each happens once per workflow, whatever its versions, and late if we were down."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any, NamedTuple

from psycopg import Connection
from psycopg.rows import dict_row

from runtime.engine.engine import Engine, Moment
from runtime.engine.runs import CHUNK, IF, chunks
from runtime.engine.schedule import due_slots, next_slot
from runtime.ledger.queries import load_queries
from runtime.ledger.work import add
from runtime.spec.model import ScheduleTrigger

MOST_MISSED = 100
"""Missed slots of a workflow that still happen, late; of more the last ones."""
_QUERIES = load_queries("runtime.engine")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Schedule:
    """A version that is live, or was until the live one followed it."""

    version_id: int
    workflow_id: int
    name: str
    trigger: ScheduleTrigger
    has_if: bool
    published_at: datetime
    retired_at: datetime | None


class _State(NamedTuple):
    handled: datetime | None
    """The last slot."""
    paused: bool


class _Slot(NamedTuple):
    schedule: _Schedule
    at: datetime
    outcome: str
    since: datetime | None


def start_due_slots(engine: Engine, conn: Connection[Any], moment: Moment) -> list[int]:
    """Start what is due of every schedule, in the caller's transaction, and return the work that follows.

    A slot belongs to the version that was live then. Slots of a paused workflow pass by.
    """
    project_id = moment.project.id
    schedules = _schedules(engine, conn, moment)
    due = [slot for schedule, state in schedules for slot in _due(schedule, state, moment.now)]
    taken = _take(conn, project_id, due)
    if not taken:
        return []
    work = _start_whole(conn, moment, [slot for slot in taken if not slot.schedule.trigger.each])
    with_items = sorted((slot for slot in taken if slot.schedule.trigger.each), key=lambda slot: slot.at)
    for at, slots in groupby(with_items, key=lambda slot: slot.at):
        work += add(conn, project_id, "expand", [[slot.schedule.version_id] for slot in slots], moment.now, slot=at)
    return work


def next_due_slot(engine: Engine, conn: Connection[Any], moment: Moment) -> datetime | None:
    """Return the first slot after now of any live schedule that is not paused."""
    slots = [
        next_slot(schedule.trigger.schedule, schedule.trigger.zone, moment.now)
        for schedule, state in _schedules(engine, conn, moment)
        if schedule.retired_at is None and not state.paused
    ]
    return min((slot for slot in slots if slot is not None), default=None)


def _schedules(engine: Engine, conn: Connection[Any], moment: Moment) -> list[tuple[_Schedule, _State]]:
    """Return the versions whose slots may be due, with how far their workflow has come."""
    project = moment.project
    known = engine.memory.as_of(project.live_generation, "schedules", lambda: _load(conn, project.id))
    if not known:
        return []
    workflow_ids = sorted({schedule.workflow_id for schedule in known})
    rows = conn.execute(_QUERIES["handled_slots"], {"project_id": project.id, "workflow_ids": workflow_ids})
    states = {workflow_id: _State(handled, paused) for workflow_id, handled, paused in rows}
    return [(schedule, states[schedule.workflow_id]) for schedule in known if schedule.workflow_id in states]


def _load(conn: Connection[Any], project_id: int) -> list[_Schedule]:
    with conn.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(_QUERIES["schedules"], {"project_id": project_id}).fetchall()
    return [_Schedule(trigger=ScheduleTrigger.model_validate(row.pop("trigger")), **row) for row in rows]


def _due(schedule: _Schedule, state: _State, now: datetime) -> Iterator[_Slot]:
    """Yield the version's slots from its publish, or the last that was handled, until now or its end."""
    after = max(schedule.published_at, state.handled or schedule.published_at)
    until = min(now, schedule.retired_at or now)
    if after >= until:
        return
    try:
        first = next_slot(schedule.trigger.schedule, schedule.trigger.zone, after)
        slots = due_slots(schedule.trigger, after, until, most=MOST_MISSED) if first and first <= until else []
    except (ValueError, KeyError) as error:  # a zone that this machine no longer knows stops no other schedule
        _log.error("schedule.failed workflow=%s version=%d reason=%s", schedule.name, schedule.version_id, error)
        return
    if len(slots) > MOST_MISSED:
        missed = slots.pop(0)
        _log.error("slots.missed workflow=%s since=%s until=%s", schedule.name, after.isoformat(), missed.isoformat())
        yield _Slot(schedule, missed, "missed", after)
    for at in slots:
        yield _Slot(schedule, at, "paused" if state.paused else "started", None)


def _take(conn: Connection[Any], project_id: int, due: Sequence[_Slot]) -> list[_Slot]:
    """Record slots, and return those that nobody has handled and that shall start."""
    if not due:
        return []
    values = {
        "project_id": project_id,
        "workflow_id": [slot.schedule.workflow_id for slot in due],
        "at": [slot.at for slot in due],
        "outcome": [slot.outcome for slot in due],
        "since": [slot.since for slot in due],
    }
    taken = set(conn.execute(_QUERIES["take_slots"], values).fetchall())
    return [slot for slot in due if slot.outcome == "started" and (slot.schedule.workflow_id, slot.at) in taken]


def _start_whole(conn: Connection[Any], moment: Moment, slots: Sequence[_Slot]) -> list[int]:
    """Start one run for each slot of schedules without items."""
    if not slots:
        return []
    values = {
        "project_id": moment.project.id,
        "version_id": [slot.schedule.version_id for slot in slots],
        "at": [slot.at for slot in slots],
        "step": [IF if slot.schedule.has_if else 0 for slot in slots],
        "now": moment.now,
    }
    runs = sorted(row[0] for row in conn.execute(_QUERIES["start_slots"], values))
    return add(conn, moment.project.id, "advance", list(chunks(runs, CHUNK)), moment.now)
