"""What must be right about a schedule: five cron fields, a zone that exists, items with a key."""

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from zoneinfo import available_timezones

from croniter import CroniterBadDateError, croniter

from runtime.errors import Problem
from runtime.spec.model import ScheduleTrigger
from runtime.spec.nearest import did_you_mean
from runtime.spec.survey import Survey

_FIELDS = 5
_CRON_FIX = "Write minute, hour, day, month, weekday: '0 8 * * 1-5' is 08:00 on weekdays."
_SOME_DAY = datetime(2026, 1, 1, tzinfo=UTC)


def check_schedule(trigger: ScheduleTrigger, found: Survey) -> list[Problem]:
    """Return what is wrong with a schedule trigger."""
    problems = [*_cron(trigger.schedule), *_zone(trigger.zone), *_key(trigger)]
    each = found.fragments.get("/trigger/each")
    if each and not each.is_open:
        names = [f.name for f in each.outputs]
        for place, column in enumerate(trigger.key):
            if column not in names:
                message = f"`each` returns no column {column!r}."
                fix = did_you_mean(column, names)
                problems.append(Problem(f"/trigger/key/{place}", "unknown-column", message, fix))
    return problems


def _cron(rule: str) -> Iterator[Problem]:
    path = "/trigger/schedule"
    fields = rule.split()
    if len(fields) != _FIELDS:
        message = f"{rule!r} has {len(fields)} fields; a schedule has five."
        yield Problem(path, "bad-cron", message, _CRON_FIX)
        return
    try:
        croniter(rule, _SOME_DAY).get_next(datetime)
    except CroniterBadDateError:
        yield Problem(path, "never-true", f"{rule!r} never happens.", "Choose a day that the month has.")
    except (ValueError, KeyError) as error:
        yield Problem(path, "bad-cron", f"{rule!r} is not a schedule: {error}.", _CRON_FIX)


def _zone(zone: str) -> Iterator[Problem]:
    if zone not in _zones():
        fix = did_you_mean(zone, _zones(), otherwise="Write an IANA name such as 'Europe/Paris' or 'UTC'.")
        yield Problem("/trigger/zone", "unknown-zone", f"unknown time zone {zone!r}.", fix)


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _key(trigger: ScheduleTrigger) -> Iterator[Problem]:
    if trigger.each and not trigger.key:
        message = "`each` needs to know which item is which."
        yield Problem("/trigger/key", "missing-key", message, "Name the columns that identify an item: key: [id].")
    if trigger.key and not trigger.each:
        message = "Without `each` there are no items."
        yield Problem("/trigger/key", "key-without-each", message, "Add `each`, or leave `key` out.")
