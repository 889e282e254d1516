"""The calendar of schedules, and the waits in months."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from runtime.engine.schedule import due_slots, next_slot
from runtime.engine.waits import in_zone, later
from runtime.spec.model import ScheduleTrigger


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def slots(rule: str, zone: str, after: str, until: str, most: int = 100) -> list[str]:
    found = due_slots(ScheduleTrigger(schedule=rule, zone=zone), utc(after), utc(until), most=most)
    return [f"{slot:%m-%d %H:%M}" for slot in found]


@pytest.mark.parametrize(
    ("rule", "zone", "after", "until", "expected"),
    [
        ("0 9 * * 1", "Europe/Paris", "2026-10-18", "2026-10-31", ["10-19 07:00", "10-26 08:00"]),
        ("30 2 * * *", "Europe/Paris", "2026-03-27", "2026-03-30", ["03-27 01:30", "03-28 01:30", "03-29 01:30"]),
        ("30 2 * * *", "Europe/Paris", "2026-10-24", "2026-10-26", ["10-24 00:30", "10-25 01:30"]),
        ("0,30 2,3 * * *", "Europe/Paris", "2026-03-29", "2026-03-29T20:00", ["03-29 01:00", "03-29 01:30"]),
        ("0 * * * *", "Europe/Paris", "2026-03-29T00:00", "2026-03-29T02:00", ["03-29 01:00", "03-29 02:00"]),
        (
            "0 * * * *",
            "Europe/Paris",
            "2026-10-24T23:30",
            "2026-10-25T02:00",
            ["10-25 00:00", "10-25 01:00", "10-25 02:00"],
        ),
        ("*/30 * * * *", "America/New_York", "2026-11-01T05:00", "2026-11-01T06:00", ["11-01 05:30", "11-01 06:00"]),
        ("0 0 * * *", "America/Sao_Paulo", "2018-11-03T12:00", "2018-11-05T12:00", ["11-04 03:00", "11-05 02:00"]),
        ("0 9 * * *", "Pacific/Apia", "2011-12-29", "2011-12-31", ["12-29 19:00", "12-30 19:00"]),
        ("0 3 29 2 *", "UTC", "2026-01-01", "2028-03-01", ["02-29 03:00"]),
        ("15 10 * * 1-5", "UTC", "2026-06-05T10:15", "2026-06-08T10:15", ["06-08 10:15"]),
    ],
)
def test_slots_are_what_the_zones_clocks_show(
    rule: str, zone: str, after: str, until: str, expected: list[str]
) -> None:
    assert slots(rule, zone, after, until) == expected


def test_the_day_of_a_missing_or_a_doubled_hour_has_each_fixed_time_once() -> None:
    for zone in ("Europe/Paris", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "America/Havana"):
        for hour in range(4):
            after, until = utc("2026-01-01"), utc("2027-01-01")
            found = due_slots(ScheduleTrigger(schedule=f"15 {hour} * * *", zone=zone), after, until, most=1_000)
            assert len(found) in (365, 366)
            assert all(timedelta(hours=22) < b - a < timedelta(hours=26) for a, b in pairwise(found))


def test_the_next_slot_is_the_first_of_the_due_ones() -> None:
    for rule in ("0 9 * * *", "*/7 * * * *", "0 3 1 * 1", "5 4,16 * 6 *"):
        after = utc("2026-03-28T12:00")
        for _ in range(20):
            following = next_slot(rule, "Europe/Berlin", after)
            assert following is not None
            [first, *_] = due_slots(ScheduleTrigger(schedule=rule, zone="Europe/Berlin"), after, following, most=5)
            assert first == following > after
            after = following


def test_of_very_many_slots_only_the_last_are_enumerated_with_the_one_before_them() -> None:
    found = slots("* * * * *", "Europe/Paris", "2016-01-01", "2026-01-01", most=3)
    assert found == ["12-31 23:57", "12-31 23:58", "12-31 23:59", "01-01 00:00"]
    assert slots("0 9 * * *", "UTC", "2026-01-01", "2026-01-03T09:00", most=3) == [
        "01-01 09:00",
        "01-02 09:00",
        "01-03 09:00",
    ]
    assert len(slots("0 9 * * *", "UTC", "2026-01-01", "2026-01-05", most=4)) == 4


def test_a_rule_that_never_happens_again_has_no_next_slot() -> None:
    assert next_slot("0 9 31 2 *", "UTC", utc("2026-01-01")) is None


@pytest.mark.parametrize(
    ("start", "months", "seconds", "zone", "expected"),
    [
        ("2026-01-31T10:00", 1, 0, "UTC", "2026-02-28T10:00"),
        ("2028-02-29T10:00", 12, 0, "UTC", "2029-02-28T10:00"),
        ("2026-11-30T10:00", 3, 86_400, "UTC", "2027-03-01T10:00"),
        ("2026-02-28T23:30", 1, 0, "Europe/Paris", "2026-03-31T22:30"),
        ("2026-02-28T23:30", 1, 0, "UTC", "2026-03-28T23:30"),
        ("2026-06-15T07:00", 6, 0, "Europe/Paris", "2026-12-15T08:00"),
        ("2026-03-28T12:00", 0, 86_400, "Europe/Paris", "2026-03-29T12:00"),
    ],
)
def test_months_are_clamped_and_keep_the_time_of_day(
    start: str, months: int, seconds: float, zone: str, expected: str
) -> None:
    assert later(utc(start), months=months, seconds=seconds, zone=zone) == utc(expected)


def test_times_that_clocks_leave_out_or_show_twice_are_read_as_postgres_reads_them() -> None:
    assert in_zone(datetime(2026, 3, 29, 2, 30), "Europe/Paris") == utc("2026-03-29T01:30")  # noqa: DTZ001
    assert in_zone(datetime(2026, 10, 25, 2, 30), "Europe/Paris") == utc("2026-10-25T01:30")  # noqa: DTZ001
