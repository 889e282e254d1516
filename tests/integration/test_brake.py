"""The burst brake: what would tell too many people within an hour is stopped before it does, and a person is asked."""

import threading
import time
from datetime import timedelta
from typing import Any

import pytest
from psycopg import Connection

from runtime.clock import VirtualClock
from runtime.console.concerns import concerns
from runtime.console.figures import read_figures
from runtime.delivery.message import Send
from runtime.engine.brake import Burst, brake, count_people
from runtime.engine.claim import claim
from runtime.engine.drain import drain
from runtime.engine.perform import perform
from runtime.engine.resuming import Resumed, resume, waiting
from runtime.engine.runs import Decisions, load_runs
from runtime.ledger.database import Ledger
from runtime.publishing.pausing import list_brakes, list_pauses, set_brake
from runtime.source.reader import Source
from tests.engine_runs import Shop
from tests.publishing import SEND, spec

pytestmark = pytest.mark.usefixtures("approved")
BRAKE = 10
EVERYBODY = {**SEND, "to": "SELECT c.id AS key, c.email FROM shop.customers c"}
PATIENCE = 10.0


@pytest.fixture
def shop(app: Connection[Any], ledger: Ledger, source: Source, database: str, clock: VirtualClock) -> Shop:
    shop = Shop.furnished(app, ledger, source, database, clock)
    app.execute(
        "INSERT INTO shop.customers (id, email) SELECT n, n || '@x.test' FROM generate_series(4, 60) n;"
        "INSERT INTO shop.orders (id, customer_id, status, total_cents, placed_at)"
        " SELECT n, n, 'paid', 1, '2026-05-01' FROM generate_series(4, 60) n"
    )
    set_brake(ledger, None, BRAKE, by="ana")
    return shop


def ship(shop: Shop, first: int, last: int) -> None:
    shop.write(f"UPDATE shop.orders SET status = 'shipped' WHERE id BETWEEN {first} AND {last}")


def go_on(shop: Shop, name: str | None = "shipped", *, discard: bool = False) -> Resumed | None:
    ended = resume(shop.engine.ledger, name, by="bea", discard=discard, clock=shop.clock)
    drain(shop.engine)
    return ended


def lines(shop: Shop) -> list[str]:
    with shop.engine.ledger.connection() as conn:
        return [pause.line() for pause in list_pauses(conn, 1)]


def test_a_flood_is_stopped_before_anything_leaves_and_a_person_lets_it_go(shop: Shop) -> None:
    shop.publish(spec())
    ship(shop, 1, 60)
    assert shop.inbox() == []
    assert shop.rows("SELECT * FROM tidings.message") == []
    assert set(shop.runs()) == {("active", None)}
    stopped = "The brake stopped shipped at 2026-06-01 12:00:00 UTC: 60 people within an hour would have been told; its"
    ways = "`tidings resume shipped` lets what waits go, with --discard it ends it."
    assert lines(shop) == [f"{stopped} brake is 10 an hour. {ways}"]
    found = waiting(shop.engine.ledger, "shipped", clock=shop.clock)
    assert found is not None
    assert (found.runs, found.messages) == (60, 0)
    shop.pass_time(minutes=1)
    go_on(shop)
    assert sorted(shop.inbox()) == sorted((f"{number}@x.test", f"Order {number}") for number in range(1, 61))
    assert shop.rows("SELECT count(*) AS n FROM tidings.work") == [{"n": 0}]


def test_what_was_let_go_is_not_counted_and_what_comes_after_it_is(shop: Shop) -> None:
    shop.publish(spec())
    ship(shop, 1, 20)
    go_on(shop)
    shop.pass_time(minutes=1)
    ship(shop, 21, 30)
    assert len(shop.inbox()) == 30
    ship(shop, 31, 31)
    assert len(shop.inbox()) == 30
    assert "11 people within an hour" in lines(shop)[0]


def test_people_are_counted_over_an_hour_that_moves(shop: Shop) -> None:
    shop.publish(spec())
    for minute in range(5):  # two at 12:00, 12:10 … 12:40
        ship(shop, minute * 2 + 1, minute * 2 + 2)
        shop.pass_time(minutes=10)
    shop.pass_time(minutes=9)
    ship(shop, 11, 11)
    assert len(shop.inbox()) == 10
    assert len(lines(shop)) == 1
    shop.app.execute("UPDATE tidings.workflow SET paused_at = NULL")
    shop.pass_time(minutes=1)  # 13:00: those of 12:00 are an hour ago
    assert len(shop.inbox()) == 11
    ship(shop, 12, 12)
    assert len(shop.inbox()) == 12
    ship(shop, 13, 13)
    assert len(shop.inbox()) == 12
    assert shop.rows("SELECT count(*) AS n FROM tidings.brake_count") == [{"n": 5}]


@pytest.mark.parametrize("discard", [False, True])
def test_after_a_person_has_looked_the_hour_begins_again(shop: Shop, discard: bool) -> None:
    shop.publish(spec())
    ship(shop, 1, 10)
    ship(shop, 11, 11)
    go_on(shop, discard=discard)
    shop.pass_time(minutes=1)
    ship(shop, 21, 30)
    assert len(shop.inbox()) == (20 if discard else 21)
    ship(shop, 31, 31)
    assert len(lines(shop)) == 1


def test_waits_that_a_discard_leaves_are_counted_when_they_are_over(shop: Shop) -> None:
    shop.publish(spec(steps=[{"wait": "settle", "for": "1 hour"}, SEND]))
    ship(shop, 1, 15)
    shop.pass_time(minutes=30)
    ship(shop, 16, 30)
    shop.pass_time(minutes=30)
    assert go_on(shop, discard=True) == Resumed(runs=15)
    shop.pass_time(minutes=30)
    assert shop.inbox() == []
    assert "15 people" in lines(shop)[0]
    go_on(shop)
    assert len(shop.inbox()) == 15


def test_one_change_with_many_recipients_is_stopped_too(shop: Shop) -> None:
    shop.publish(spec(steps=[EVERYBODY]))
    ship(shop, 1, 1)
    assert shop.inbox() == []
    assert "60 people" in lines(shop)[0]
    assert go_on(shop, discard=True) == Resumed(runs=1)
    assert shop.runs() == [("ended", "discarded")]


def test_other_workflows_go_on_and_so_do_runs_that_tell_nobody(shop: Shop) -> None:
    shop.publish(spec("few", trigger={"change": "shop.orders", "becomes": "status = 'shipped'", "when": "new.id <= 5"}))
    one = "SELECT c.id AS key, c.email FROM shop.customers c WHERE c.id = new.customer_id AND c.id > 30"
    shop.publish(spec(steps=[{**SEND, "to": one}]))
    ship(shop, 1, 60)
    assert len(shop.inbox()) == 5
    states = shop.rows("SELECT state, count(*) AS n FROM tidings.run GROUP BY 1 ORDER BY 1")
    assert [tuple(row.values()) for row in states] == [("active", 30), ("completed", 35)]
    go_on(shop)
    assert len(shop.inbox()) == 35


def test_a_run_that_rests_begins_its_step_afresh(shop: Shop) -> None:
    steps = [{"query": "mine", "sql": "SELECT c.email FROM shop.customers c WHERE c.id = new.customer_id"}, SEND]
    shop.publish(spec(steps=steps, while_="live.status = 'shipped'"))
    ship(shop, 1, 11)
    assert shop.results() == []
    shop.write("UPDATE shop.orders SET status = 'refunded' WHERE id > 1")
    go_on(shop)
    assert shop.inbox() == [("1@x.test", "Order 1")]


@pytest.mark.parametrize(("own", "sent"), [(60, 60), (0, 60), (59, 0), (None, 0)])
def test_a_workflow_may_have_a_brake_of_its_own(shop: Shop, own: int | None, sent: int) -> None:
    shop.publish(spec())
    set_brake(shop.engine.ledger, "shipped", own, by="ana")
    ship(shop, 1, 60)
    assert len(shop.inbox()) == sent
    counted = [(one.workflow, one.per_hour, one.own) for one in list_brakes(shop.engine.ledger)]
    expected = (own or None) if own is not None else BRAKE
    assert counted == [("", BRAKE, False), ("shipped", expected, own is not None)]
    log = shop.rows("SELECT by, detail->'per_hour' AS n FROM tidings.pause_log WHERE act = 'brake' ORDER BY id")
    assert [tuple(row.values()) for row in log] == [("ana", BRAKE), ("ana", own)]


def test_without_a_brake_nothing_is_counted(shop: Shop) -> None:
    shop.publish(spec())
    set_brake(shop.engine.ledger, None, 0, by="ana")
    ship(shop, 1, 60)
    assert len(shop.inbox()) == 60
    assert shop.rows("SELECT * FROM tidings.brake_count") == []


def test_two_workers_together_do_not_tell_more_than_one_may(shop: Shop) -> None:
    shop.publish(spec())
    shop.app.execute("UPDATE shop.orders SET status = 'shipped' WHERE id <= 6")
    (work,) = claim(shop.engine).work
    with shop.engine.ledger.transaction() as conn:
        runs = load_runs(conn, 1, [1])
        decided = Decisions(now=shop.clock.now(), runs={run.id: run for run in runs})
        count_people(conn, 1, _telling(decided, people=5))
        worker = threading.Thread(target=perform, args=(shop.engine, work))
        worker.start()
        _wait_until_somebody_waits(shop)
    worker.join(PATIENCE)
    assert "11 people" in lines(shop)[0]
    drain(shop.engine)
    assert shop.inbox() == []
    assert set(shop.runs()) == {("active", None)}


def _telling(decided: Decisions, *, people: int) -> Decisions:
    """Return the decisions with a send to so many people."""
    rows = [{"key": number} for number in range(people)]
    send = Send(1, 0, "shipped", ("email",), "transactional", "", (), {}, rows)
    decided.sends.append(send)
    return decided


def _wait_until_somebody_waits(shop: Shop) -> None:
    deadline = time.monotonic() + PATIENCE
    while not shop.rows("SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"):
        assert time.monotonic() < deadline, "the worker does not wait for the other's count"
        time.sleep(0.01)


def test_a_burst_makes_health_red_and_says_the_ways_on(shop: Shop) -> None:
    shop.publish(spec())
    ship(shop, 1, 60)
    with shop.engine.ledger.connection() as conn:
        found = {concern.code: concern for concern in concerns(read_figures(conn, 1))}
    assert found["braked"].level == "red"
    assert found["braked"].what == lines(shop)[0]
    assert "shipped" not in found["braked"].public


def test_a_resume_that_came_in_between_is_not_undone(shop: Shop) -> None:
    """A worker that had decided before it leaves its runs to be looked at afresh."""
    shop.publish(spec())
    ship(shop, 1, 20)
    go_on(shop)
    before = shop.clock.now() - timedelta(seconds=1)
    with shop.engine.ledger.transaction() as conn:
        brake(conn, 1, {1: Burst(people=20, brake=BRAKE)}, before)
        assert list_pauses(conn, 1) == ()
        brake(conn, 1, {1: Burst(people=20, brake=BRAKE)}, shop.clock.now())
        assert len(list_pauses(conn, 1)) == 1
