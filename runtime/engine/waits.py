"""How long a wait lasts: seconds are exact, months are the calendar's in the project's zone."""

import calendar
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo


def later(start: datetime, *, seconds: float = 0, months: int = 0, zone: str = "UTC") -> datetime:
    """Return the instant that many calendar months and then seconds after the start, in UTC.

    31 January and a month is the last day of February, at the same time of day. A time of day that the clocks leave out
    or show twice is read as `in_zone` does.
    """
    if months:
        local = start.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
        year, month = divmod(local.year * 12 + local.month - 1 + months, 12)
        day = min(local.day, calendar.monthrange(year, month + 1)[1])
        start = in_zone(local.replace(year=year, month=month + 1, day=day), zone)
    return start.astimezone(UTC) + timedelta(seconds=seconds)


def in_zone(local: datetime, zone: str) -> datetime:
    """Return the instant at which the clocks of a zone show a time, in UTC, read as Postgres reads it.

    02:30 in a spring night that leaves it out is 03:30; 02:30 in an autumn night that has it twice is the second one.
    """
    here = ZoneInfo(zone)
    first, second = (local.replace(tzinfo=here, fold=fold) for fold in (0, 1))
    twice = (first.utcoffset() or timedelta()) > (second.utcoffset() or timedelta())
    return (second if twice else first).astimezone(UTC)
