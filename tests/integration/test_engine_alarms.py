"""Alarms: what has silently stopped is said by whoever asks, and nothing is said of a project that is well."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from psycopg import Connection

from runtime.clock import VirtualClock
from runtime.engine.alarms import Alarm, alarms, canary_state
from runtime.engine.canary import switch_off, switch_on, write_canary
from runtime.engine.drain import drain
from runtime.engine.silence import observe
from runtime.engine.watch import beat
from runtime.ledger.database import Ledger
from runtime.source.reader import Source
from tests.engine_runs import Shop
from tests.publishing import SEND, spec

pytestmark = pytest.mark.usefixtures("approved")
LEAD = "SELECT pg_try_advisory_lock(hashtext('tidings.leader'), 1)"
SHIP = "UPDATE shop.orders SET status = 'paid'; UPDATE shop.orders SET status = 'shipped' WHERE id = 1"


@pytest.fixture
def shop(app: Connection[Any], ledger: Ledger, source: Source, database: str, clock: VirtualClock) -> Shop:
    """A shop that is live and led: this session holds the leader's lock, and notes that it is alive."""
    shop = Shop.furnished(app, ledger, source, database, clock)
    shop.publish(spec())
    app.execute(LEAD)
    beat(shop.engine)
    return shop


def found(shop: Shop) -> list[str]:
    return [alarm.code for alarm in every(shop)]


def every(shop: Shop) -> tuple[Alarm, ...]:
    return alarms(shop.app, 1, shop.clock.now())


def test_a_project_that_is_well_has_no_alarm(shop: Shop) -> None:
    shop.write(SHIP)
    assert every(shop) == ()
    assert alarms(shop.app, 2, shop.clock.now()) == ()


def test_nobody_leads(shop: Shop) -> None:
    shop.app.execute("SELECT pg_advisory_unlock_all()")
    assert found(shop) == []
    shop.app.execute("UPDATE tidings.watch SET beat_at = beat_at - interval '16 s'")
    [alarm] = every(shop)
    assert (alarm.code, alarm.severity) == ("no_leader", "red")
    assert alarm.sentence.startswith("No dispatcher has led for 16 seconds")
    shop.app.execute("DELETE FROM tidings.watch")
    assert found(shop) == ["no_leader"]
    shop.app.execute("UPDATE tidings.workflow SET live_version_id = NULL")
    assert found(shop) == []


def test_a_leader_that_does_not_move_is_known_from_one_that_says_nothing(shop: Shop) -> None:
    shop.app.execute("UPDATE tidings.watch SET beat_at = beat_at - interval '61 s'")
    assert found(shop) == ["leader_stuck"]
    shop.app.execute("UPDATE tidings.watch SET leader_pid = leader_pid + 1")
    assert found(shop) == []


def test_changes_work_and_waits_that_nobody_takes_up(shop: Shop) -> None:
    shop.publish(spec("later", steps=[{"wait": "a", "for": "1 hour"}, SEND]))
    shop.write(SHIP)
    shop.app.execute("UPDATE shop.orders SET status = 'shipped' WHERE id = 2")
    assert found(shop) == []
    shop.app.execute("UPDATE tidings.outbox SET captured_at = captured_at - interval '61 s'")
    assert found(shop) == ["outbox_stuck"]
    drain(shop.engine)
    shop.clock.advance_to(shop.clock.now() + timedelta(hours=1, seconds=61))
    assert found(shop) == ["timers_late"]
    shop.app.execute("DELETE FROM tidings.run_timer")
    shop.app.execute(
        "INSERT INTO tidings.work (project_id, kind, ids, due_at)"
        " SELECT 1, 'advance', '{2,4}', due FROM unnest(ARRAY[%s, %s]) due",
        (shop.clock.now(), shop.clock.now() - timedelta(seconds=61)),
    )
    assert found(shop) == ["workers_absent"]
    shop.app.execute(
        "UPDATE tidings.work SET lease_until = clock_timestamp() + interval '1 min'"
        " WHERE due_at = (SELECT max(due_at) FROM tidings.work)"
    )
    assert found(shop) == []
    shop.clock.advance_to(shop.clock.now() + timedelta(minutes=10))
    assert found(shop) == ["work_late"]


def test_a_slot_that_nobody_served(shop: Shop) -> None:
    to = "SELECT s.email FROM shop.staff s"
    step = {**SEND, "to": to, "texts": [{"subject": "x", "body": "x"}]}
    shop.publish(spec("weekly", trigger={"schedule": "0 13 * * *"}, steps=[step]))
    shop.clock.advance_to(datetime(2026, 6, 1, 13, 2, tzinfo=UTC))
    assert found(shop) == []
    shop.clock.advance_to(datetime(2026, 6, 1, 13, 3, tzinfo=UTC))
    [alarm] = every(shop)
    assert (alarm.code, alarm.subject) == ("slot_late", "weekly")
    assert alarm.sentence == "weekly was to run at 2026-06-01 13:00 UTC, 3 minutes ago, and did not."
    drain(shop.engine)
    assert found(shop) == []
    shop.app.execute("UPDATE tidings.slot SET outcome = 'missed', since = at - interval '1 day'")
    assert found(shop) == ["slot_missed"]
    shop.clock.advance_to(datetime(2026, 6, 2, 12, 59, tzinfo=UTC))
    assert found(shop) == ["slot_missed"]


def test_while_the_project_is_held_nothing_else_is_an_alarm(shop: Shop) -> None:
    shop.app.execute("UPDATE tidings.project SET held_reason = 'It is a copy.'")
    shop.app.execute("DELETE FROM tidings.watch")
    assert [(alarm.code, alarm.sentence) for alarm in every(shop)] == [("held", "Everything is held: It is a copy.")]


def busy(shop: Shop, *, days: int, hours: range) -> None:
    """Let an order be shipped at every one of these hours of each day, and the watch look then."""
    start = shop.clock.now().replace(hour=0)
    for day in range(days):
        for hour in hours:
            shop.clock.advance_to(start + timedelta(days=day + 1, hours=hour))
            shop.write(SHIP)
            observe(shop.app, 1, shop.clock.now())


def test_a_workflow_that_is_silent_for_longer_than_ever_is_told_apart_from_a_night(shop: Shop) -> None:
    busy(shop, days=10, hours=range(8, 18, 3))
    last = shop.clock.now()
    observe(shop.app, 1, last)
    assert shop.rows("SELECT count(*) AS hours, sum(events) AS events FROM tidings.activity") == [
        {"hours": 40, "events": 40}
    ]
    shop.clock.advance_to(last + timedelta(hours=22))
    assert found(shop) == []
    shop.clock.advance_to(last + timedelta(hours=23))
    [alarm] = every(shop)
    assert (alarm.code, alarm.severity, alarm.subject, alarm.since) == ("silent", "yellow", "shipped", last)
    assert alarm.sentence == (
        "shipped has had no event for 23 hours; within the last four weeks it was never without one for more than "
        "15 hours."
    )
    shop.clock.advance_to(last + timedelta(hours=46))
    assert [alarm.severity for alarm in every(shop)] == ["red"]
    shop.write(SHIP)
    observe(shop.app, 1, shop.clock.now())
    assert found(shop) == []


def test_who_has_no_history_is_never_called_silent(shop: Shop) -> None:
    busy(shop, days=8, hours=range(8, 18, 3))
    shop.clock.advance_to(shop.clock.now() + timedelta(days=3))
    assert found(shop) == []


def test_a_pause_is_no_silence(shop: Shop) -> None:
    busy(shop, days=10, hours=range(8, 18, 3))
    shop.app.execute("UPDATE tidings.workflow SET paused_at = now()")
    shop.clock.advance_to(shop.clock.now() + timedelta(days=5))
    assert found(shop) == []
    observe(shop.app, 1, shop.clock.now())
    shop.app.execute("UPDATE tidings.workflow SET paused_at = NULL")
    assert found(shop) == []


def test_events_before_midnight_that_are_seen_after_it_count_for_their_day(shop: Shop) -> None:
    shop.clock.advance_to(datetime(2026, 6, 1, 23, 59, 50, tzinfo=UTC))
    shop.write(SHIP)
    shop.clock.advance_to(datetime(2026, 6, 2, 0, 0, 5, tzinfo=UTC))
    shop.write(SHIP)
    for _ in range(2):
        observe(shop.app, 1, shop.clock.now())
    assert shop.rows("SELECT hour, events FROM tidings.activity ORDER BY hour") == [
        {"hour": datetime(2026, 6, 1, 23, tzinfo=UTC), "events": 1},
        {"hour": datetime(2026, 6, 2, 0, tzinfo=UTC), "events": 1},
    ]


@pytest.fixture
def canary(shop: Shop) -> Shop:
    switch_on(shop.url, 1)
    return shop


def age(shop: Shop, seconds: int) -> None:
    """Let time pass for canaries, which go by the server's clock."""
    shop.app.execute(
        "UPDATE tidings.canary SET written_at = written_at - s, claimed_at = claimed_at - s,"
        " performed_at = performed_at - s FROM make_interval(secs => %s) s",
        (seconds,),
    )
    shop.app.execute("UPDATE tidings.watch SET canary_since = canary_since - make_interval(secs => %s)", (seconds,))


def test_a_canary_goes_the_whole_way_and_tells_nobody(canary: Shop) -> None:
    assert write_canary(canary.engine.ledger)
    assert not write_canary(canary.engine.ledger)
    assert canary.rows("SELECT key FROM tidings.outbox") == [{"key": {"project_id": 1, "id": 1}}]
    drain(canary.engine)
    state = canary_state(canary.app, 1)
    assert state.on
    assert state.age is not None
    assert state.took is not None
    assert timedelta() < state.took < timedelta(seconds=20)
    assert state.age < timedelta(seconds=20)
    assert canary.rows("SELECT claimed_at > written_at AND performed_at > claimed_at AS ok FROM tidings.canary") == [
        {"ok": True}
    ]
    assert (canary.runs(), canary.inbox(), canary.rows("SELECT * FROM tidings.event")) == ([], [], [])
    age(canary, 61)
    assert write_canary(canary.engine.ledger)


def test_a_canary_that_does_not_come_through_is_an_alarm_that_says_where_it_is(canary: Shop) -> None:
    assert found(canary) == []
    age(canary, 181)
    assert [alarm.sentence for alarm in every(canary)] == [
        "No canary has come through for 3 minutes: none was written."
    ]
    write_canary(canary.engine.ledger)
    assert [alarm.sentence for alarm in every(canary)] == [
        "No canary has come through for 3 minutes: no dispatcher claimed it."
    ]
    canary.app.execute("UPDATE tidings.canary SET claimed_at = clock_timestamp()")
    assert every(canary)[0].sentence.endswith("no worker took it up.")
    assert not write_canary(canary.engine.ledger)
    age(canary, 301)
    assert write_canary(canary.engine.ledger)
    drain(canary.engine)
    assert found(canary) == []


def test_a_canary_that_is_off_is_neither_written_nor_missed(canary: Shop) -> None:
    switch_off(canary.url, 1)
    assert not write_canary(canary.engine.ledger)
    assert not canary_state(canary.app, 1).on
    age(canary, 3600)
    assert found(canary) == []
    canary.app.execute("INSERT INTO tidings.canary (project_id) VALUES (1)")
    assert canary.rows("SELECT * FROM tidings.outbox") == []
    for _ in range(2):
        switch_on(canary.url, 1)
    age(canary, 301)
    assert write_canary(canary.engine.ledger)
    assert len(canary.rows("SELECT * FROM tidings.outbox")) == 1
