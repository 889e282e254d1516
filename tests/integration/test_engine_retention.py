"""What is too old goes, and nothing that anything under way, or a promise, still needs."""

from datetime import timedelta
from typing import Any

import psycopg
import pytest
from psycopg import Connection

from runtime.clock import VirtualClock
from runtime.engine.reconcile import set_scene
from runtime.engine.retention import KeepTimes, keep_times, prune, set_keep_times
from runtime.engine.tally import count_new
from runtime.engine.why import explain
from runtime.errors import NotAllowed, NotFound
from runtime.ledger.database import Ledger
from runtime.ledger.settled import Settled
from runtime.source.reader import Source
from tests.engine_runs import Shop
from tests.publishing import SEND, spec

pytestmark = pytest.mark.usefixtures("approved")
TABLES = ("event", "run", "step_result", "message", "delivery_batch", "inbox", "delivery_event", "dead_letter")
WAIT = [{"query": "q", "sql": "SELECT 1 AS n"}, {"wait": "settle", "for": "100 days"}, SEND]


@pytest.fixture
def shop(app: Connection[Any], ledger: Ledger, source: Source, database: str, clock: VirtualClock) -> Shop:
    return Shop.furnished(app, ledger, source, database, clock)


def _prune(shop: Shop, *, counted: bool = True) -> None:
    ledger = shop.engine.ledger
    if counted:
        count_new(ledger, Settled(), {}, seconds=10)
    while prune(ledger, now=shop.clock.now(), seconds=10, rest=timedelta()):
        pass


def _left(shop: Shop) -> dict[str, int]:
    counts = {name: shop.rows(f"SELECT count(*) AS n FROM tidings.{name}")[0]["n"] for name in TABLES}
    return {name: count for name, count in counts.items() if count}


def _shipped(shop: Shop) -> None:
    shop.publish(spec())
    shop.write("UPDATE shop.orders SET status = 'shipped'")


def test_payloads_go_first_and_the_bare_facts_stay(shop: Shop) -> None:
    _shipped(shop)
    shop.clock.advance_to(shop.clock.now() + timedelta(days=29))
    _prune(shop)
    assert shop.rows("SELECT DISTINCT new IS NULL AS gone FROM tidings.event") == [{"gone": False}]
    assert len(shop.inbox()) == 3
    shop.clock.advance_to(shop.clock.now() + timedelta(days=2))
    _prune(shop)
    assert shop.inbox() == []
    (event,) = shop.rows("SELECT DISTINCT new, old, count(key) AS keys FROM tidings.event GROUP BY new, old")
    assert event == {"new": None, "old": None, "keys": 3}
    assert shop.rows("SELECT DISTINCT request FROM tidings.delivery_batch") == [{"request": {}}]
    told = explain(shop.engine.ledger, shop.engine.source, address="1@x.test").lines()
    assert any("to 1@x.test by email: sent" in line for line in told)


def test_what_is_older_than_messages_are_kept_goes_and_is_said(shop: Shop) -> None:
    _shipped(shop)
    shop.clock.advance_to(shop.clock.now() + timedelta(days=91))
    _prune(shop)
    assert _left(shop) == {}
    ledger, source = shop.engine.ledger, shop.engine.source
    with pytest.raises(NotFound, match=r"message 2 is older than the 90 days for which such are kept, and was removed"):
        explain(ledger, source, message_id=2)
    with pytest.raises(NotFound, match="run 3 is older than"):
        explain(ledger, source, run_id=3)
    with pytest.raises(NotFound, match="There is no run 4"):
        explain(ledger, source, run_id=4)
    for asked in ({"address": "1@x.test"}, {"row": ("shop.orders", "1")}):
        assert (
            "What is older than 90 days is not kept, and not in this answer."
            in explain(ledger, source, **asked).lines()
        )


def test_what_waits_keeps_everything_it_needs_however_old(shop: Shop) -> None:
    shop.publish(spec(steps=WAIT))
    shop.write("UPDATE shop.orders SET status = 'shipped'")
    shop.clock.advance_to(shop.clock.now() + timedelta(days=99))
    _prune(shop)
    assert _left(shop) == {"event": 3, "run": 3, "step_result": 6}
    (kept,) = shop.rows(
        "SELECT count(e.new) AS rows, min(r.context::text) AS context FROM tidings.run r, tidings.event e"
    )
    assert kept["rows"] == 9
    assert kept["context"] != "{}"
    shop.pass_time(days=2)
    assert len(shop.inbox()) == 3
    shop.clock.advance_to(shop.clock.now() + timedelta(days=91))
    _prune(shop)
    assert _left(shop) == {}


def test_one_that_waits_does_not_keep_the_others(shop: Shop) -> None:
    _shipped(shop)
    shop.app.execute("UPDATE tidings.run SET state = 'waiting', finished_at = NULL WHERE id = 1")
    shop.clock.advance_to(shop.clock.now() + timedelta(days=91))
    _prune(shop)
    assert [row["id"] for row in shop.rows("SELECT id FROM tidings.run")] == [1]
    assert [row["run_id"] for row in shop.rows("SELECT run_id FROM tidings.message")] == [1]
    assert shop.rows("SELECT id, new IS NOT NULL AS whole FROM tidings.event") == [{"id": 1, "whole": True}]
    shop.app.execute("UPDATE tidings.run SET state = 'completed', finished_at = at WHERE id = 1")
    _prune(shop)
    assert _left(shop) == {}


def test_a_request_on_its_way_is_not_touched(shop: Shop) -> None:
    _shipped(shop)
    shop.app.execute("UPDATE tidings.delivery_batch SET state = 'held', finished_at = NULL")
    shop.clock.advance_to(shop.clock.now() + timedelta(days=200))
    _prune(shop)
    assert shop.rows("SELECT request->'messages' IS NOT NULL AS whole FROM tidings.delivery_batch") == [{"whole": True}]
    assert _left(shop)["message"] == 3


def test_what_was_not_counted_yet_stays(shop: Shop) -> None:
    _shipped(shop)
    shop.clock.advance_to(shop.clock.now() + timedelta(days=91))
    _prune(shop, counted=False)
    assert {name: count for name, count in _left(shop).items() if name in ("run", "message", "delivery_batch")} == {
        "run": 3,
        "message": 3,
        "delivery_batch": 1,
    }


def test_a_dead_letter_keeps_its_change_until_it_was_replayed(shop: Shop) -> None:
    _shipped(shop)
    shop.app.execute(
        "INSERT INTO tidings.dead_letter (project_id, event_id, stage, error, payload, at)"
        """ SELECT 1, n, 'match', 'x', '{"key": 1, "new": {"a": 1}}', %s FROM generate_series(1, 2) n""",
        (shop.clock.now(),),
    )
    shop.app.execute("UPDATE tidings.dead_letter SET replayed_at = now() WHERE event_id = 2")
    shop.clock.advance_to(shop.clock.now() + timedelta(days=31))
    _prune(shop)
    assert shop.rows("SELECT id FROM tidings.event WHERE new IS NOT NULL") == [{"id": 1}]
    assert [row["payload"] for row in shop.dead()] == [{"key": 1, "new": {"a": 1}}, {"key": 1}]


def test_what_keeps_a_promise_is_kept_for_ever(shop: Shop) -> None:
    shop.publish(
        spec(
            "daily",
            trigger={"schedule": "0 13 * * *"},
            steps=[{**SEND, "to": "SELECT s.email FROM shop.staff s", "texts": [{"subject": "x", "body": "y"}]}],
        )
    )
    shop.pass_time(hours=2)
    shop.app.execute("INSERT INTO tidings.suppression VALUES (1, '1@x.test', '', 'manual', '', now())")
    kept = ("slot", "suppression", "workflow_version", "approval")
    before = {name: shop.rows(f"SELECT * FROM tidings.{name}") for name in kept}
    assert all(before.values())
    shop.clock.advance_to(shop.clock.now() + timedelta(days=3_000))
    _prune(shop)
    assert {name: shop.rows(f"SELECT * FROM tidings.{name}") for name in kept} == before
    assert _left(shop) == {}


def test_a_schedules_run_keeps_the_key_of_its_item(shop: Shop) -> None:
    each = {"schedule": "0 13 * * *", "each": "SELECT s.id, s.role, s.email FROM shop.staff s", "key": ["id"]}
    texts = [{"subject": "x", "body": "{{ item.role }}"}]
    shop.publish(spec("daily", trigger=each, steps=[{**SEND, "to": "SELECT item.email", "texts": texts}]))
    shop.pass_time(hours=2)
    shop.clock.advance_to(shop.clock.now() + timedelta(days=31))
    _prune(shop)
    rows = shop.rows("SELECT item FROM tidings.run WHERE at < '2026-06-02' ORDER BY id")
    assert [row["item"] for row in rows] == [{"id": 1}, {"id": 2}]


def test_it_goes_in_small_steps_and_what_somebody_holds_comes_later(shop: Shop, database: str) -> None:
    shop.app.execute(
        "INSERT INTO tidings.event (project_id, id, hook_id, generation, op, key, new, at)"
        """ SELECT 1, n, 1, 1, 'i', '{"id": 1}', '{"id": 1}', '2026-01-01' FROM generate_series(1, 5000) n"""
    )
    with psycopg.connect(database) as other:
        other.execute("SELECT FROM tidings.event WHERE id = 1500 FOR UPDATE")
        done = prune(shop.engine.ledger, now=shop.clock.now(), seconds=30)
        assert (done["blank_events"], done["drop_events"]) == (1_000, 1_000)
    _prune(shop)
    assert _left(shop) == {}


def test_other_times_hold_from_the_next_turn_on(shop: Shop) -> None:
    _shipped(shop)
    ledger = shop.engine.ledger
    assert keep_times(shop.app, 1) == KeepTimes(timedelta(days=30), timedelta(days=90), timedelta(days=400))
    shop.clock.advance_to(shop.clock.now() + timedelta(days=3))
    prune(ledger, now=shop.clock.now())
    assert len(shop.inbox()) == 3
    set_keep_times(shop.app, 1, KeepTimes(timedelta(days=2), timedelta(days=9), timedelta(days=9)))
    prune(ledger, now=shop.clock.now())
    assert shop.inbox() == []
    with pytest.raises(NotAllowed, match="Not 5, 4 and 400 days"):
        set_keep_times(shop.app, 1, KeepTimes(timedelta(days=5), timedelta(days=4), timedelta(days=400)))
    with pytest.raises(NotFound):
        keep_times(shop.app, 2)


def test_a_comparison_never_reaches_back_to_what_was_removed(shop: Shop) -> None:
    _shipped(shop)
    begin = shop.clock.now() - timedelta(days=1)
    shop.clock.advance_to(shop.clock.now() + timedelta(days=11))
    ledger, source = shop.engine.ledger, shop.engine.source
    set_keep_times(shop.app, 1, KeepTimes(timedelta(days=10), timedelta(days=10), timedelta(days=10)))
    _prune(shop)
    set_keep_times(shop.app, 1, KeepTimes(timedelta(days=30), timedelta(days=90), timedelta(days=400)))
    scene = set_scene(ledger, source, begin=begin, clock=shop.clock)
    assert scene.window.begin == shop.clock.now() - timedelta(days=10)
