"""Everything is counted once: also by two leaders, and with commits that come late."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from psycopg import Connection

from runtime.clock import VirtualClock
from runtime.engine.tally import count_new, take_census
from runtime.ledger.database import Ledger
from runtime.ledger.settled import Settled
from runtime.source.reader import Source
from tests.engine_runs import Shop
from tests.publishing import SEND, spec

pytestmark = pytest.mark.usefixtures("approved")
CROWD = {**SEND, "to": "SELECT c.id AS key, c.email FROM shop.customers c"}


@pytest.fixture
def shop(app: Connection[Any], ledger: Ledger, source: Source, database: str, clock: VirtualClock) -> Shop:
    return Shop.furnished(app, ledger, source, database, clock)


def _ever(shop: Shop) -> dict[tuple[str, str], int]:
    rows = shop.rows("SELECT fact, reason, number FROM tidings.tally WHERE hour = 'infinity'")
    return {(row["fact"], row["reason"]): row["number"] for row in rows}


def _count(shop: Shop, settled: Settled | None = None) -> None:
    count_new(shop.engine.ledger, settled or Settled(), {}, seconds=10)


def test_each_message_is_counted_once_by_what_became_of_it(shop: Shop) -> None:
    shop.publish(spec(steps=[CROWD]))
    shop.app.execute("INSERT INTO tidings.suppression VALUES (1, '2@x.test', '', 'manual', '', now())")
    shop.write("UPDATE shop.orders SET status = 'shipped' WHERE id = 1")
    for _ in range(3):
        _count(shop)
    assert _ever(shop) == {
        ("made", "email"): 3,
        ("sent", "inbox"): 2,
        ("started", ""): 1,
        ("suppressed", "suppressed"): 1,
    }
    hours = shop.rows("SELECT DISTINCT hour FROM tidings.tally WHERE hour < 'infinity'")
    assert [row["hour"].hour for row in hours] == [12]


def test_a_request_is_counted_when_it_is_finished(shop: Shop) -> None:
    shop.publish(spec())
    shop.write("UPDATE shop.orders SET status = 'shipped' WHERE id = 1")
    shop.app.execute("UPDATE tidings.delivery_batch SET state = 'held', reason = 'quota', finished_at = NULL")
    _count(shop)
    assert ("sent", "inbox") not in _ever(shop)
    take_census(shop.engine.ledger, least_age=timedelta())
    census = shop.rows("SELECT what, state, reason, number FROM tidings.census ORDER BY what, state")
    assert [tuple(row.values()) for row in census] == [("messages", "held", "quota", 1), ("runs", "completed", "", 1)]
    shop.app.execute(
        "UPDATE tidings.delivery_batch SET state = 'uncertain', reason = 'unanswered', finished_at = now()"
    )
    _count(shop)
    assert _ever(shop)["uncertain", "unanswered"] == 1
    assert shop.rows("SELECT * FROM tidings.open_batch") == []


def test_what_a_provider_refuses_out_of_a_request_is_no_message_sent(shop: Shop) -> None:
    shop.publish(spec(steps=[CROWD]))
    shop.write("UPDATE shop.orders SET status = 'shipped' WHERE id = 1")
    shop.app.execute(
        "INSERT INTO tidings.delivery_event (project_id, message_id, kind, at, detail)"
        """ VALUES (1, 2, 'failed', now(), '{"reason": "refused", "message": "no"}')"""
    )
    _count(shop)
    assert _ever(shop)["sent", "inbox"] == 2
    assert _ever(shop)["failed", "refused"] == 1


def test_two_leaders_at_once_count_everything_once(shop: Shop) -> None:
    shop.publish(spec(steps=[CROWD]))
    shop.app.execute(
        "INSERT INTO tidings.run (project_id, version_id, at, step_at, created_at, finished_at, state)"
        " SELECT 1, 1, now(), now(), now(), now(), 'completed' FROM generate_series(1, 30000)"
    )
    shop.app.execute(
        "INSERT INTO tidings.delivery_batch"
        " (project_id, provider, state, idempotency_key, request, created_at, finished_at)"
        " SELECT 1, 'inbox', 'sent', n::text, '{}', now(), now() FROM generate_series(1, 6000) n;"
        "INSERT INTO tidings.message (project_id, run_id, step, recipient_key, channel, batch_id, position, created_at)"
        " SELECT 1, 1, 0, n::text, 'email', n, 0, now() FROM generate_series(1, 6000) n"
    )
    leaders = [threading.Thread(target=_count, args=(shop,)) for _ in range(4)]
    for leader in leaders:
        leader.start()
    for leader in leaders:
        leader.join(timeout=30)
    assert _ever(shop) == {("started", ""): 30_000, ("made", "email"): 6_000, ("sent", "inbox"): 6_000}


def test_a_census_costs_a_small_share_of_the_time(shop: Shop) -> None:
    ledger = shop.engine.ledger
    assert take_census(ledger)
    assert not take_census(ledger)
    shop.app.execute("UPDATE tidings.census_taken SET at = at - interval '10 s', took = '1 s'")
    assert not take_census(ledger)
    shop.app.execute("UPDATE tidings.census_taken SET at = at - interval '200 s'")
    assert take_census(ledger)
