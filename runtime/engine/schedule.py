"""The calendar of schedules: from a rule and a zone to the instants at which it is time. Pure.

A rule for certain hours happens once a day for each of them, also in the nights in which the clocks change: what they
leave out happens as much later, what they show twice happens the second time. A rule for every hour (or every n-th)
goes by the hours as they pass, so both of a doubled hour count and one that is left out does not.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import groupby, islice, takewhile
from zoneinfo import ZoneInfo

from croniter import CroniterBadDateError, croniter

from runtime.engine.waits import in_zone
from runtime.spec.model import ScheduleTrigger

_MARGIN = timedelta(hours=26)
"""More than any change of a zone's clocks."""
_FIRST_LOOK = timedelta(hours=1)


@lru_cache(maxsize=1024)
def next_slot(rule: str, zone: str, after: datetime) -> datetime | None:
    """Return the first instant after another at which the rule says so, in UTC."""
    return next(_slots(rule, zone, after), None)


def due_slots(trigger: ScheduleTrigger, after: datetime, until: datetime, *, most: int) -> list[datetime]:
    """Return the slots with after < slot <= until, in order: the last `most` of them, and the one before these."""
    rule, zone = trigger.schedule, trigger.zone
    found = list(islice(_until(rule, zone, after, until), most + 1))
    if len(found) <= most:
        return found
    look = _FIRST_LOOK  # there may be very many of them: those at the end are found from the end
    while True:
        begin = max(after, until - look)
        found = list(_until(rule, zone, begin, until))
        if len(found) > most or begin == after:
            return found[-most - 1 :]
        look *= 4


def _until(rule: str, zone: str, after: datetime, until: datetime) -> Iterator[datetime]:
    return takewhile(lambda slot: slot <= until, _slots(rule, zone, after))


def _slots(rule: str, zone: str, after: datetime) -> Iterator[datetime]:
    """Yield the rule's instants after another, in order and for ever, or until the rule never happens again."""
    every_hour = rule.split()[1].startswith("*")
    return _as_hours_pass(rule, zone, after) if every_hour else _as_clocks_show(rule, zone, after)


def _as_hours_pass(rule: str, zone: str, after: datetime) -> Iterator[datetime]:
    times = croniter(rule, after.astimezone(ZoneInfo(zone)))
    return (slot.astimezone(UTC) for slot in _endless(times))


def _as_clocks_show(rule: str, zone: str, after: datetime) -> Iterator[datetime]:
    local = after.astimezone(ZoneInfo(zone)).replace(tzinfo=None) - _MARGIN
    last = after
    for _, times in groupby(_endless(croniter(rule, local)), key=datetime.date):
        for slot in sorted(in_zone(time, zone) for time in times):
            if slot > last:
                yield slot
                last = slot


def _endless(times: croniter) -> Iterator[datetime]:
    try:
        while True:
            yield times.get_next(datetime)
    except CroniterBadDateError:
        return
