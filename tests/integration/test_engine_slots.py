"""Schedules: every slot once per workflow, late if we were down, never after an unpublish, one run per item."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from psycopg import Connection

from runtime.clock import VirtualClock
from runtime.engine.drain import drain
from runtime.engine.due import next_due
from runtime.engine.tick import tick
from runtime.ledger.database import Ledger
from runtime.publishing.publish import unpublish
from runtime.source.reader import Source
from tests.engine_runs import Shop
from tests.publishing import spec

pytestmark = pytest.mark.usefixtures("approved")
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
STAFF = {
    "send": "tell",
    "to": "SELECT s.email FROM shop.staff s WHERE s.role = 'finance'",
    "channels": ["email"],
    "texts": [{"subject": "{{ event.at }}", "body": "x"}],
}
SINCE = "event.at - interval '1 day' AS since"
EACH = f"SELECT c.id, c.email, c.tz, {SINCE} FROM shop.customers c WHERE c.id <= 2 ORDER BY c.id DESC"
ITEM = {
    "send": "tell",
    "to": "SELECT item.id AS key, item.email",
    "channels": ["email"],
    "texts": [{"subject": "{{ item.id }} {{ item.since | date('UTC') }}", "body": "x"}],
}


@pytest.fixture
def shop(app: Connection[Any], ledger: Ledger, source: Source, database: str, clock: VirtualClock) -> Shop:
    return Shop.furnished(app, ledger, source, database, clock)


def daily(name: str = "daily", rule: str = "0 9 * * *", zone: str = "UTC", **parts: Any) -> dict[str, Any]:
    return spec(name, **{"trigger": {"schedule": rule, "zone": zone}, "steps": [STAFF], **parts})


def day(number: int, hour: int = 9) -> datetime:
    return datetime(2026, 6, number, hour, tzinfo=UTC)


def test_each_slot_happens_once_at_its_time(shop: Shop) -> None:
    shop.publish(daily())
    assert next_due(shop.engine) == day(2)
    shop.pass_time(days=3)
    assert shop.arrivals() == [day(2), day(3), day(4)]
    assert [subject for _, subject in shop.inbox()] == [day(n).isoformat() for n in (2, 3, 4)]
    assert shop.runs() == [("completed", None)] * 3
    assert shop.rows("SELECT slot, at, created_at, event_id FROM tidings.run WHERE id = 1") == [
        {"slot": day(2), "at": day(2), "created_at": day(2), "event_id": None}
    ]


def test_two_leaders_start_a_slot_once(shop: Shop) -> None:
    shop.publish(daily())
    shop.publish(daily("items", trigger={"schedule": "0 9 * * *", "each": EACH, "key": ["id"]}, steps=[ITEM]))
    shop.clock.advance_to(day(2))
    with ThreadPoolExecutor(4) as pool:
        work = [found for found in pool.map(lambda _: tick(shop.engine), range(4)) if found]
    assert [len(found) for found in work] == [2]
    drain(shop.engine)
    assert len(shop.inbox()) == 3


def test_slots_missed_while_down_happen_late_each_with_its_own_time(shop: Shop) -> None:
    shop.publish(daily())
    shop.clock.advance_to(day(4, hour=15))
    drain(shop.engine)
    assert shop.arrivals() == [day(4, hour=15)] * 3
    assert [subject for _, subject in shop.inbox()] == [day(n).isoformat() for n in (2, 3, 4)]


def test_of_very_many_missed_slots_the_last_hundred_happen_and_the_others_are_recorded(shop: Shop) -> None:
    shop.publish(daily(rule="* * * * *"))
    shop.clock.advance_to(NOON + timedelta(days=2))
    drain(shop.engine)
    assert len(shop.inbox()) == 100
    first = NOON + timedelta(days=2, minutes=-99)
    assert shop.rows("SELECT at, since FROM tidings.slot WHERE outcome = 'missed'") == [
        {"at": first - timedelta(minutes=1), "since": NOON}
    ]
    assert shop.rows("SELECT min(slot) AS at FROM tidings.run") == [{"at": first}]
    assert drain(shop.engine) == 0


def test_a_new_version_repeats_no_slot_and_skips_none(shop: Shop) -> None:
    shop.publish(daily())
    shop.pass_time(days=1)
    shop.publish(daily(about="Another sentence."))
    shop.clock.advance_to(day(3, hour=10))
    shop.publish(daily(about="And another."))
    drain(shop.engine)
    shop.pass_time(days=1)
    assert [subject for _, subject in shop.inbox()] == [day(n).isoformat() for n in (2, 3, 4)]
    rows = shop.rows(
        "SELECT v.number, r.slot FROM tidings.run r JOIN tidings.workflow_version v ON v.id = r.version_id ORDER BY 2"
    )
    assert [row["number"] for row in rows] == [1, 2, 3], "a slot is its version's, also when it is late"


def test_a_new_rule_counts_from_its_publish_on(shop: Shop) -> None:
    shop.publish(daily(rule="0 9 * * *"))
    shop.pass_time(days=1)
    shop.publish(daily(rule="0 11 * * *"))
    shop.pass_time(hours=24)
    assert shop.arrivals() == [day(2), day(3, hour=11)]


def test_what_is_unpublished_fires_no_more_and_makes_nothing_up_when_it_comes_back(shop: Shop, database: str) -> None:
    shop.publish(daily())
    shop.pass_time(days=1)
    shop.clock.advance_to(day(3, hour=10))
    unpublish(shop.engine.ledger, database, "daily", clock=shop.clock)
    drain(shop.engine)
    shop.pass_time(days=10)
    assert next_due(shop.engine) is None
    shop.publish(daily())
    drain(shop.engine)
    shop.pass_time(days=1)
    assert shop.arrivals() == [day(2), day(14)]


def test_slots_of_a_paused_workflow_pass_by_and_are_recorded(shop: Shop) -> None:
    shop.publish(daily())
    shop.app.execute("UPDATE tidings.workflow SET paused_at = now()")
    assert next_due(shop.engine) is None
    shop.clock.advance_to(day(3))
    drain(shop.engine)
    shop.app.execute("UPDATE tidings.workflow SET paused_at = NULL")
    shop.pass_time(days=1)
    assert shop.arrivals() == [day(4)]
    rows = shop.rows("SELECT outcome FROM tidings.slot ORDER BY at")
    assert [row["outcome"] for row in rows] == ["paused", "paused", "started"]


def test_each_starts_a_run_for_each_row_in_its_order(shop: Shop) -> None:
    shop.publish(daily(trigger={"schedule": "0 9 * * *", "each": EACH, "key": ["id"]}, steps=[ITEM]))
    shop.pass_time(days=1)
    assert shop.inbox() == [("2@x.test", "2 June 1, 2026"), ("1@x.test", "1 June 1, 2026")]
    rows = shop.rows("SELECT slot, at, item FROM tidings.run ORDER BY id")
    assert [(row["slot"], row["at"]) for row in rows] == [(day(2), day(2))] * 2
    assert rows[0]["item"] == {"id": 2, "email": "2@x.test", "tz": "UTC", "since": "2026-06-01T09:00:00+00:00"}


def test_one_key_of_each_is_one_run(shop: Shop) -> None:
    each = "SELECT c.id / 2 AS pair, min(c.email) OVER () AS email, c.id FROM shop.customers c ORDER BY c.id"
    steps = [
        {
            **ITEM,
            "to": "SELECT c.email FROM shop.customers c WHERE c.id = item.id",
            "texts": [{"subject": "{{ item.id }}", "body": "x"}],
        }
    ]
    shop.publish(daily(trigger={"schedule": "0 9 * * *", "each": each, "key": ["pair"]}, steps=steps))
    shop.pass_time(days=1)
    assert [subject for _, subject in shop.inbox()] == ["1", "2"]


def test_if_and_earlier_steps_work_for_items(shop: Shop) -> None:
    steps = [{"query": "q", "sql": "SELECT count(*) AS n FROM shop.orders o WHERE o.customer_id = item.id"}, ITEM]
    trigger = {"schedule": "0 9 * * *", "each": EACH, "key": ["id"]}
    shop.publish(daily(trigger=trigger, if_="item.id = 1", steps=steps))
    shop.pass_time(days=1)
    assert shop.runs() == [("ended", "condition_false"), ("completed", None)]


def test_a_slot_whose_each_fails_is_a_dead_letter_and_the_next_one_comes(shop: Shop) -> None:
    each = "SELECT c.id, c.email, c.tz, 100 / (SELECT count(*) - 1 FROM shop.staff) AS since FROM shop.customers c"
    shop.publish(
        daily(
            trigger={"schedule": "0 9 * * *", "each": each, "key": ["id"]},
            steps=[{**ITEM, "texts": [{"subject": "x", "body": "x"}]}],
        )
    )
    shop.app.execute("DELETE FROM shop.staff WHERE id = 1")
    shop.pass_time(days=1)
    assert [(row["stage"], row["error"], row["payload"]) for row in shop.dead()] == [
        ("expand", "Postgres says: division by zero.", {"slot": "2026-06-02T09:00:00+00:00"})
    ]
    shop.app.execute("INSERT INTO shop.staff VALUES (1, 'wh@x.test', 'warehouse')")
    shop.pass_time(days=1)
    assert len(shop.inbox()) == 3


def test_a_slot_with_thousands_of_items_is_advanced_in_chunks(shop: Shop) -> None:
    shop.app.execute("INSERT INTO shop.customers (id, email) SELECT n, n || '@y.test' FROM generate_series(10, 3009) n")
    each = "SELECT c.id FROM shop.customers c WHERE c.id >= 10"
    steps = [
        {
            **ITEM,
            "to": "SELECT c.email FROM shop.customers c WHERE c.id = item.id AND c.id < 13",
            "texts": [{"subject": "{{ item.id }}", "body": "x"}],
        }
    ]
    shop.publish(daily(trigger={"schedule": "0 9 * * *", "each": each, "key": ["id"]}, steps=steps))
    shop.pass_time(days=1)
    assert (len(shop.runs()), len(shop.inbox())) == (3_000, 3)


def test_slots_follow_the_zones_clocks_through_a_spring_and_an_autumn_night(shop: Shop) -> None:
    shop.clock.advance_to(datetime(2026, 10, 24, 12, tzinfo=UTC))
    shop.publish(daily(rule="30 2 * * *", zone="Europe/Paris"))
    shop.pass_time(days=2)
    assert shop.arrivals() == [datetime(2026, 10, number, 1, 30, tzinfo=UTC) for number in (25, 26)]
    unpublish(shop.engine.ledger, shop.url, "daily", clock=shop.clock)
    shop.clock.advance_to(datetime(2027, 3, 27, 12, tzinfo=UTC))
    shop.publish(daily(rule="30 2 * * *", zone="Europe/Paris", about="Again."))
    shop.pass_time(days=2)
    spring = [datetime(2027, 3, 28, 1, 30, tzinfo=UTC), datetime(2027, 3, 29, 0, 30, tzinfo=UTC)]
    assert shop.arrivals()[2:] == spring, "02:30 does not exist on the 28th: it is 03:30"


def test_other_triggers_are_no_schedules(shop: Shop) -> None:
    shop.publish(spec())
    assert next_due(shop.engine) is None
    shop.clock.advance_to(day(20))
    assert tick(shop.engine) == []
