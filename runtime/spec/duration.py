"""Durations as people write them: `30 minutes`, `3 days`, `1 day 2 hours`, `6 months`."""

import re
from dataclasses import dataclass

_PART = re.compile(r"\s*(\d{1,6})\s*(minutes?|hours?|days?|weeks?|months?)\s*(?:,|\band\b)?", re.IGNORECASE)
_SECONDS = {"minute": 60, "hour": 3_600, "day": 86_400, "week": 604_800}
_LONGEST = 5 * 366 * 86_400
_MONTH = 31 * 86_400

DURATION_FIX = "Write it like '30 minutes', '2 hours', '3 days', '1 week', '6 months' or '1 day 2 hours'."


@dataclass(frozen=True)
class Duration:
    """A fixed part in seconds (a day is 24 hours) and a number of calendar months."""

    seconds: float
    months: int = 0


def parse_duration(text: str) -> Duration:
    """Read a duration; raises ValueError with what is wrong when it is none, is zero or exceeds five years."""
    seconds = months = position = 0
    units: set[str] = set()
    while position < len(text.rstrip()):
        found = _PART.match(text, position)
        if not found:
            raise ValueError(f"{text!r} is not a duration.")
        unit = found[2].lower().removesuffix("s")
        if unit in units:
            raise ValueError(f"{text!r} names {unit}s twice.")
        units.add(unit)
        seconds += int(found[1]) * _SECONDS.get(unit, 0)
        months += int(found[1]) if unit == "month" else 0
        position = found.end()
    if not seconds + months:
        raise ValueError(f"{text!r} is no time at all." if units else f"{text!r} is not a duration.")
    if seconds + months * _MONTH > _LONGEST:
        raise ValueError(f"{text!r} is longer than five years.")
    return Duration(float(seconds), months)
