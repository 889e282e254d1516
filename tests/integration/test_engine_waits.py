"""Waits: how long, until when, and that only the clock of the project ends them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from psycopg import Connection

from runtime.clock import VirtualClock
from runtime.engine.claim import claim
from runtime.engine.drain import drain
from runtime.engine.due import next_due
from runtime.engine.tick import tick
from runtime.ledger.database import Ledger
from runtime.source.reader import Source
from tests.engine_runs import Shop
from tests.publishing import SEND, spec

pytestmark = pytest.mark.usefixtures("approved")
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
SHIPPED_AT = "(SELECT o.shipped_at FROM shop.orders o WHERE o.id = new.id)"


@pytest.fixture
def shop(app: Connection[Any], ledger: Ledger, source: Source, database: str, clock: VirtualClock) -> Shop:
    return Shop.furnished(app, ledger, source, database, clock)


class AsRecorded(VirtualClock):
    """Stands still, and lets changes have happened before, when the outbox says so."""

    def stamp(self, wall: datetime) -> datetime:
        return min(wall, self.at)


def ship(shop: Shop, at: str | None = None, order: int = 1) -> None:
    shipped = f"'{at}'" if at else "NULL"
    shop.write(f"UPDATE shop.orders SET status = 'shipped', shipped_at = {shipped} WHERE id = {order}")


def waits(shop: Shop, **wait: str) -> None:
    """Publish a workflow that waits and then sends."""
    wait = {"for" if key == "duration" else key: value for key, value in wait.items()}
    shop.publish(spec(steps=[{"wait": "while", **wait}, SEND]))


def details(shop: Shop) -> list[tuple[str, Any]]:
    rows = shop.rows("SELECT status, detail FROM tidings.step_result WHERE name = 'while' ORDER BY run_id")
    return [(row["status"], row["detail"]) for row in rows]


def test_time_passes_only_on_the_projects_clock(shop: Shop) -> None:
    waits(shop, duration="30 minutes")
    ship(shop)
    assert (shop.runs(), shop.inbox()) == ([("waiting", None)], [])
    assert next_due(shop.engine) == NOON + timedelta(minutes=30)
    shop.clock.advance_to(NOON + timedelta(minutes=29, seconds=59))
    assert (tick(shop.engine), drain(shop.engine)) == ([], 0)
    shop.pass_time(seconds=1)
    assert shop.arrivals() == [NOON + timedelta(minutes=30)]
    assert details(shop) == [("done", {"until": "2026-06-01T12:30:00+00:00", "waited": True})]
    assert next_due(shop.engine) is None


def test_durations_count_from_the_change_and_then_from_the_step_before(shop: Shop) -> None:
    steps = [{"wait": "a", "for": "1 hour"}, SEND, {"wait": "b", "for": "2 hours"}, {**SEND, "send": "again"}]
    shop.publish(spec(steps=steps))
    shop.app.execute("UPDATE shop.orders SET status = 'shipped' WHERE id = 1")
    claim(shop.engine)
    shop.clock.advance_to(NOON + timedelta(minutes=50))
    drain(shop.engine)
    shop.pass_time(hours=5)
    assert shop.arrivals() == [NOON + timedelta(hours=1), NOON + timedelta(hours=3)]


def test_a_wait_that_is_over_already_does_not_hold_up(shop: Shop) -> None:
    waits(shop, duration="1 hour")
    shop.app.execute("UPDATE shop.orders SET status = 'shipped' WHERE id IN (1, 2)")
    shop.app.execute(
        "UPDATE tidings.outbox SET captured_at = CASE key->>'id' WHEN '1' THEN '2026-06-01 09:00Z'::timestamptz"
        " ELSE '2026-06-01 11:30Z' END"
    )
    engine = replace(shop.engine, clock=AsRecorded())
    drain(engine)
    assert shop.arrivals() == [NOON]
    assert details(shop) == [
        ("done", {"until": "2026-06-01T10:00:00+00:00", "waited": False}),
        ("waiting", {"until": "2026-06-01T12:30:00+00:00"}),
    ]


def test_a_run_that_begins_with_a_wait_waits_with_its_claim_and_nobody_works_for_it(shop: Shop) -> None:
    waits(shop, duration="1 hour")
    shop.app.execute("UPDATE shop.orders SET status = 'shipped'")
    claimed = claim(shop.engine)
    assert (claimed.runs, claimed.work) == (3, [])
    assert shop.runs() == [("waiting", None)] * 3
    assert details(shop) == [("waiting", {"until": "2026-06-01T13:00:00+00:00"})] * 3
    shop.pass_time(hours=1)
    assert shop.arrivals() == [NOON + timedelta(hours=1)] * 3


def test_a_run_of_a_paused_workflow_does_not_wait_before_the_pause_is_over(shop: Shop) -> None:
    waits(shop, duration="1 hour")
    shop.app.execute("UPDATE tidings.workflow SET paused_at = '2026-06-01 12:00Z'")
    shop.app.execute("UPDATE shop.orders SET status = 'shipped' WHERE id = 1")
    assert len(claim(shop.engine).work) == 1
    assert shop.runs() == [("active", None)]


def test_months_are_the_calendars_in_the_projects_zone(shop: Shop) -> None:
    shop.app.execute("UPDATE tidings.project SET zone = 'Europe/Paris'")
    waits(shop, duration="1 month 1 day")
    shop.clock.advance_to(datetime(2026, 6, 30, 22, 30, tzinfo=UTC))
    ship(shop)
    assert next_due(shop.engine) == datetime(2026, 8, 1, 22, 30, tzinfo=UTC), "in Paris it was the first of July"
    shop.pass_time(days=40)
    assert shop.arrivals() == [datetime(2026, 8, 1, 22, 30, tzinfo=UTC)]


def test_until_waits_for_what_the_data_says_and_asks_again_when_it_is_due(shop: Shop) -> None:
    waits(shop, until=f"{SHIPPED_AT} + interval '2 hours'")
    ship(shop, "2026-06-01T13:00Z")
    assert next_due(shop.engine) == NOON + timedelta(hours=3)
    shop.app.execute("UPDATE shop.orders SET shipped_at = '2026-06-02T13:00Z' WHERE id = 1")
    shop.pass_time(hours=4)
    assert (shop.runs(), shop.inbox()) == ([("waiting", None)], [])
    assert details(shop) == [("waiting", {"until": "2026-06-02T15:00:00+00:00"})]
    shop.app.execute("UPDATE shop.orders SET shipped_at = '2026-06-01T00:00Z' WHERE id = 1")
    shop.pass_time(days=3)
    assert shop.arrivals() == [NOON + timedelta(hours=27)]


@pytest.mark.parametrize(("at", "said"), [(None, None), ("2026-05-01T10:00Z", "2026-05-01T12:00:00+00:00")])
def test_until_null_or_past_goes_on_and_is_recorded(shop: Shop, at: str | None, said: str | None) -> None:
    waits(shop, until=f"{SHIPPED_AT} + interval '2 hours'")
    ship(shop, at)
    assert shop.arrivals() == [NOON]
    assert details(shop) == [("done", {"until": said, "waited": False})]


def test_until_infinity_waits_for_ever(shop: Shop) -> None:
    waits(shop, until=SHIPPED_AT)
    ship(shop, "infinity")
    shop.pass_time(days=10_000)
    assert shop.runs() == [("waiting", None)]


def test_timers_that_are_due_together_are_released_as_sets(shop: Shop) -> None:
    shop.app.execute(
        "INSERT INTO shop.orders (id, customer_id, status, total_cents, placed_at)"
        " SELECT n, 1, 'paid', n, '2026-05-01' FROM generate_series(4, 1503) n"
    )
    shop.publish(
        spec(steps=[{"wait": "a", "for": "1 hour"}, {**SEND, "to": "SELECT s.email FROM shop.staff s WHERE s.id = 9"}])
    )
    shop.write("UPDATE shop.orders SET status = 'shipped'")
    shop.clock.advance_to(NOON + timedelta(hours=1))
    work = tick(shop.engine)
    sizes = [row["n"] for row in shop.rows("SELECT cardinality(ids) AS n FROM tidings.work ORDER BY id")]
    assert (len(work), sizes) == (8, [200, 200, 200, 200, 200, 200, 200, 103])
    assert tick(shop.engine) == []
    drain(shop.engine)
    assert shop.runs() == [("completed", None)] * 1503


def test_a_timer_that_comes_up_late_below_what_was_released_is_found_within_a_minute(shop: Shop) -> None:
    waits(shop, duration="1 hour")
    ship(shop)
    shop.pass_time(hours=2)
    ship(shop, order=2)
    shop.app.execute("UPDATE tidings.run_timer SET due_at = due_at - interval '2 hours'")
    assert tick(shop.engine) == [], "nobody looks so far back each time"
    shop.engine.memory.switch_on("timers", 0)
    assert len(tick(shop.engine)) == 1


def test_a_timer_that_is_never_ticked_is_not_lost_and_never_early(shop: Shop) -> None:
    waits(shop, duration="1 hour")
    ship(shop)
    ship(shop, order=2)
    shop.clock.advance_to(NOON + timedelta(days=30))
    drain(shop.engine)
    assert shop.arrivals() == [NOON + timedelta(days=30)] * 2
