"""What workers die over is found, alone, and given up; what they only could not do now is tried again for ever."""

from datetime import timedelta

import psycopg
import pytest
from psycopg import Connection

from runtime.clock import VirtualClock
from runtime.engine.claim import claim
from runtime.engine.drain import drain
from runtime.engine.perform import perform
from runtime.engine.poison import ENOUGH_DEATHS, MOST_DEATHS
from runtime.ledger.database import Ledger
from runtime.ledger.work import lease
from runtime.source.reader import Source
from tests.engine_runs import Shop
from tests.publishing import spec

pytestmark = pytest.mark.usefixtures("approved")
SHIP_ALL = b"UPDATE shop.orders SET status = 'shipped'"
DIES = b"UPDATE tidings.work SET lease_until = clock_timestamp() - interval '1 second'"


@pytest.fixture
def shop(
    app: Connection[tuple[object, ...]], ledger: Ledger, source: Source, database: str, clock: VirtualClock
) -> Shop:
    return Shop.furnished(app, ledger, source, database, clock)


def die_over(shop: Shop, work: int, times: int) -> None:
    """Let workers lease the work and be heard of no more."""
    for _ in range(times):
        with shop.engine.ledger.transaction() as conn:
            assert lease(conn, 1, work, timedelta(seconds=60)) is not None
        shop.app.execute(DIES)


def test_runs_that_workers_died_over_are_each_alone(shop: Shop) -> None:
    shop.publish(spec())
    shop.app.execute(SHIP_ALL)
    [work] = claim(shop.engine).work
    die_over(shop, work, ENOUGH_DEATHS)
    alone = perform(shop.engine, work)
    assert [row["ids"] for row in shop.rows("SELECT ids FROM tidings.work ORDER BY id")] == [[1], [2], [3]]
    assert len(alone) == 3
    drain(shop.engine)
    assert len(shop.inbox()) == 3


def test_a_run_that_one_worker_after_the_other_died_over_is_given_up(shop: Shop) -> None:
    shop.publish(spec())
    shop.app.execute(b"UPDATE shop.orders SET status = 'shipped' WHERE id = 1")
    [work] = claim(shop.engine).work
    die_over(shop, work, MOST_DEATHS)
    assert perform(shop.engine, work) == []
    [(state, reason)] = shop.runs()
    assert (state, (reason or "")[:14]) == ("failed", "8 workers died")
    assert [(row["stage"], row["run_id"]) for row in shop.dead()] == [("advance", 1)]
    assert shop.results()[0][:2] == ("tell", "failed")
    assert shop.rows("SELECT 1 FROM tidings.work") == []


def test_a_run_that_fewer_died_over_is_tried_once_more(shop: Shop) -> None:
    shop.publish(spec())
    shop.app.execute(b"UPDATE shop.orders SET status = 'shipped' WHERE id = 1")
    [work] = claim(shop.engine).work
    die_over(shop, work, MOST_DEATHS - 1)
    drain(shop.engine)
    assert shop.runs() == [("completed", None)]


def test_a_slot_that_workers_died_over_is_given_up(shop: Shop) -> None:
    each = {"schedule": "0 * * * *", "each": "SELECT c.id, c.email FROM shop.customers c", "key": ["id"]}
    to = "SELECT c.id AS key, c.email FROM shop.customers c WHERE c.id = item.id"
    step = {"send": "tell", "to": to, "channels": ["email"], "texts": [{"subject": "{{ item.id }}", "body": "x"}]}
    shop.publish(spec("hourly", trigger=each, steps=[step]))
    shop.app.execute(
        "INSERT INTO tidings.work (project_id, kind, ids, due_at, slot)"
        " SELECT 1, 'expand', ARRAY[id], '2026-06-01', '2026-06-01 12:00Z' FROM tidings.workflow_version"
    )
    [work] = [row["id"] for row in shop.rows("SELECT id FROM tidings.work")]
    die_over(shop, work, MOST_DEATHS)
    assert perform(shop.engine, work) == []
    [dead] = shop.dead()
    assert (dead["stage"], dead["payload"]) == ("expand", {"slot": "2026-06-01T12:00:00+00:00"})
    assert shop.runs() == []


def test_a_lock_that_lasts_for_hours_gives_up_nothing(shop: Shop) -> None:
    shop.publish(spec())
    shop.app.execute(b"UPDATE shop.orders SET status = 'shipped' WHERE id = 1")
    [work] = claim(shop.engine).work
    with psycopg.connect(shop.url) as other:
        other.execute("LOCK TABLE shop.customers")
        shop.app.execute(b"UPDATE tidings.work SET attempts = 50")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            perform(shop.engine, work)
    [row] = shop.rows("SELECT due_at, deaths FROM tidings.work")
    assert row == {"due_at": shop.clock.now() + timedelta(minutes=1), "deaths": 0}
    shop.pass_time(minutes=1)
    assert shop.runs() == [("completed", None)]


def test_work_that_only_a_newer_process_knows_is_left_to_it(shop: Shop) -> None:
    shop.app.execute(
        "ALTER TABLE tidings.work DROP CONSTRAINT work_kind_check;"
        "INSERT INTO tidings.work (project_id, kind, ids, due_at) VALUES (1, 'foresee', '{1}', '2026-01-01')"
    )
    [work] = [row["id"] for row in shop.rows("SELECT id FROM tidings.work")]
    assert perform(shop.engine, work) == []
    left = shop.rows("SELECT kind, attempts, deaths, lease_until FROM tidings.work")
    assert left == [{"kind": "foresee", "attempts": 0, "deaths": 0, "lease_until": None}]
