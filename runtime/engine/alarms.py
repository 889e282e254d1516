"""Alarms: what says that something has silently stopped. Read from the ledger alone, so that anybody can ask.

The process that is ill can't be trusted to say so: whoever asks computes it, at the moment of asking.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg import Connection
from psycopg.rows import dict_row

from runtime.engine.schedule import next_slot
from runtime.engine.silence import silences
from runtime.ledger.queries import load_queries
from runtime.spec.model import ScheduleTrigger

NO_LEADER = timedelta(seconds=15)
"""For how long nobody may lead; taking over lasts five seconds at most."""
LEADER_STUCK = timedelta(minutes=1)
"""For how long a leader may be in one round of its loop."""
NOT_DRAINING = timedelta(minutes=1)
WORK_IDLE = timedelta(seconds=60)
"""How long due work may lie there while no worker has any."""
WORK_LATE = timedelta(minutes=10)
"""How long it may lie there while workers have other work."""
SLOT_LATE = timedelta(minutes=2)
CANARY_LATE = timedelta(minutes=3)
"""It is written every minute."""
_MISSED_SLOTS_FOR = timedelta(days=1)
_QUERIES = load_queries("runtime.engine", "alarms.sql")
_ENGINE = load_queries("runtime.engine")


@dataclass(frozen=True)
class Alarm:
    """Something that is not as it should be. Code and subject together say which; there is one of each at a time."""

    code: str
    """held, no_leader, leader_stuck, outbox_stuck, timers_late, workers_absent, work_late, slot_late, slot_missed,
    canary_late or silent."""
    severity: str
    """yellow or red."""
    sentence: str
    """For a person; it may name workflows."""
    since: datetime | None = None
    """Since when, as far as it is known."""
    subject: str = ""
    """The workflow it is about; empty for the project."""


@dataclass(frozen=True)
class CanaryState:
    """The canary at one moment."""

    on: bool
    age: timedelta | None = None
    """Since the last one came through."""
    took: timedelta | None = None
    """How long that one was on its way."""


def alarms(conn: Connection[Any], project_id: int, now: datetime) -> tuple[Alarm, ...]:
    """Return every alarm of a project, `now` being Tidings' clock; a handful of short statements that only read.

    While the project is held nothing is expected to move: that is the only alarm then. What hooks missed is not among
    them: `runtime.capture.health` says that.
    """
    pulse = _rows(conn, "pulse", project_id)
    if not pulse:
        return ()
    if pulse[0]["held_reason"]:
        return (Alarm("held", "red", f"Everything is held: {pulse[0]['held_reason']}"),)
    found = [*_leader(pulse[0]), *_canary(pulse[0])]
    found += _flow(_rows(conn, "flow", project_id, now=now)[0], pulse[0]["wall"], now)
    found += _slots(conn, project_id, now)
    found += (Alarm("silent", s.severity, s.sentence, s.since, s.workflow) for s in silences(conn, project_id, now))
    return tuple(found)


def canary_state(conn: Connection[Any], project_id: int) -> CanaryState:
    """Return whether the canary is on, and how the last one fared."""
    for row in _rows(conn, "pulse", project_id):
        at = row["canary_at"]
        return CanaryState(row["canary_since"] is not None, at and row["wall"] - at, row["canary_took"])
    return CanaryState(on=False)


def _leader(pulse: dict[str, Any]) -> Iterator[Alarm]:
    beat, wall = pulse["beat_at"], pulse["wall"]
    if pulse["leader"] is None:
        if pulse["live"] and (beat is None or wall - beat > NO_LEADER):
            ago = "has led yet" if beat is None else f"has led for {_span(wall - beat)}"
            yield Alarm(
                "no_leader", "red", f"No dispatcher {ago}: changes are captured and wait. Start `tidings up`.", beat
            )
    elif beat is not None and pulse["leader"] == pulse["leader_pid"] and wall - beat > LEADER_STUCK:
        what = f"The dispatcher that leads has not moved for {_span(wall - beat)}. End it: another one takes over."
        yield Alarm("leader_stuck", "red", what, beat)


def _canary(pulse: dict[str, Any]) -> Iterator[Alarm]:
    if pulse["canary_since"] is None:
        return
    last = max(filter(None, (pulse["canary_at"], pulse["canary_since"])))
    age = pulse["wall"] - last
    if age > CANARY_LATE:
        where = "no worker took it up" if pulse["canary_claimed"] else "no dispatcher claimed it"
        where = "none was written" if pulse["canary_claimed"] is None else where
        what = f"No canary has come through for {_span(age)}: {where}."
        yield Alarm("canary_late", "red", what, last)


def _flow(flow: dict[str, Any], wall: datetime, now: datetime) -> Iterator[Alarm]:
    change, timer, work = flow["change"], flow["timer"], flow["work"]
    if change is not None and wall - change > NOT_DRAINING:
        what = f"A captured change has waited for {_span(wall - change)}: the outbox is not draining."
        yield Alarm("outbox_stuck", "red", what, change)
    if timer is not None and now - timer > NOT_DRAINING:
        yield Alarm("timers_late", "red", f"A wait has been over for {_span(now - timer)} and nobody went on.", timer)
    if work is not None and not flow["leased"] and now - work > WORK_IDLE:
        what = f"Work has been due for {_span(now - work)} and no worker has any: are workers running?"
        yield Alarm("workers_absent", "red", what, work)
    elif work is not None and now - work > WORK_LATE:
        yield Alarm("work_late", "yellow", f"Workers are {_span(now - work)} behind. Start more of them.", work)


def _slots(conn: Connection[Any], project_id: int, now: datetime) -> Iterator[Alarm]:
    """Yield schedules that were not served: slots that are overdue, and lately those that were given up."""
    schedules = _rows(conn, "schedules", project_id, queries=_ENGINE)
    ids = sorted({row["workflow_id"] for row in schedules})
    states = {row["id"]: row for row in _rows(conn, "handled_slots", project_id, queries=_ENGINE, workflow_ids=ids)}
    for row in schedules:
        state = states[row["workflow_id"]]
        if row["retired_at"] is None and not state["paused"]:
            yield from _overdue(row, max(row["published_at"], state["at"] or row["published_at"]), now)
    for row in _rows(conn, "missed_slots", project_id, since=now - _MISSED_SLOTS_FOR):
        what = f"Slots of {row['name']} up to {row['at']:%Y-%m-%d %H:%M} UTC came too late to be made up for."
        yield Alarm("slot_missed", "yellow", what, row["at"], row["name"])


def _overdue(row: dict[str, Any], after: datetime, now: datetime) -> Iterator[Alarm]:
    trigger = ScheduleTrigger.model_validate(row["trigger"])
    try:
        slot = next_slot(trigger.schedule, trigger.zone, after)
    except (ValueError, KeyError) as error:
        what = f"The schedule of {row['name']} can't be read on this machine: {error}."
        yield Alarm("slot_late", "red", what, None, row["name"])
        return
    if slot is not None and now - slot > SLOT_LATE:
        what = f"{row['name']} was to run at {slot:%Y-%m-%d %H:%M} UTC, {_span(now - slot)} ago, and did not."
        yield Alarm("slot_late", "red", what, slot, row["name"])


def _span(duration: timedelta) -> str:
    """Return a duration in words, rounded down to its largest unit."""
    seconds = int(duration.total_seconds())
    for size, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}s"
    return f"{seconds} seconds"


def _rows(
    conn: Connection[Any], query: str, project_id: int, *, queries: Any = _QUERIES, **values: object
) -> list[dict[str, Any]]:
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(queries[query], {"project_id": project_id, **values}).fetchall()
