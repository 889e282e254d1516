"""The engine with the rights that set-up gives it, and no others: three roles, none of them a superuser."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from runtime.capture.acknowledge import unseen_misses
from runtime.clock import VirtualClock
from runtime.console.figures import read_figures, read_totals
from runtime.engine.forget import erase, find_address
from runtime.engine.retention import prune
from runtime.engine.upkeep import Upkeep
from runtime.engine.why import explain
from runtime.ledger.database import Ledger
from runtime.postgres.server import PostgresServer
from runtime.settings import load_settings
from runtime.setup.prepare import apply, prepare
from runtime.source.reader import Source
from tests.engine_runs import Shop, engine_on
from tests.fresh_database import fresh_database
from tests.publishing import SEND, spec

TELL = {
    **SEND,
    "to": "SELECT c.email FROM shop.customers c WHERE c.id = new.id",
    "texts": [{"subject": "x", "body": "y"}],
}


@pytest.fixture
def shop(server: PostgresServer, tmp_path: Path, clock: VirtualClock) -> Iterator[Shop]:
    """A shop whose owner set Tidings up."""
    with fresh_database(server, "roles", owner="owner", extra="CREATEROLE") as url:
        apply(prepare(tmp_path, url))
        settings = load_settings(tmp_path, {})
        with (
            psycopg.connect(server.database_url("roles"), autocommit=True) as app,
            Ledger(settings.ledger_url) as ledger,
            Source(settings.reader_url) as source,
        ):
            shop = Shop.furnished(app, ledger, source, settings.installer_url, clock)
            assert engine_on(ledger, source, clock).environment == settings.environment
            yield shop


def test_a_change_and_a_slot_reach_the_inbox_with_the_rights_of_the_three_roles(shop: Shop) -> None:
    trigger = {"change": "shop.customers", "becomes": "plan = 'pro'", "when": "old.plan < new.plan"}
    steps = [
        {"query": "q", "sql": "SELECT count(*) AS n FROM shop.orders o WHERE o.customer_id = new.id"},
        {"wait": "a", "for": "1 hour"},
        {
            **SEND,
            "to": "SELECT c.email FROM shop.customers c WHERE c.id = new.id",
            "texts": [{"subject": "{{ live.plan }} {{ q[0].n }}", "body": "x"}],
        },
    ]
    shop.publish(spec("upgraded", trigger=trigger, steps=steps, if_="new.id < 3", while_="live.plan = 'pro'"))
    each = "SELECT s.id, s.email FROM shop.staff s"
    weekly = {**SEND, "to": "SELECT item.email", "texts": [{"subject": "week", "body": "x"}]}
    shop.publish(spec("weekly", trigger={"schedule": "0 13 * * *", "each": each, "key": ["id"]}, steps=[weekly]))
    shop.write("UPDATE shop.customers SET plan = 'pro'")
    shop.pass_time(hours=1)
    assert sorted(shop.inbox()) == [
        ("1@x.test", "pro 1"),
        ("2@x.test", "pro 1"),
        ("fin@x.test", "week"),
        ("wh@x.test", "week"),
    ]
    assert shop.dead() == []
    told = explain(shop.engine.ledger, shop.engine.source, row=("shop.customers", "3")).lines()
    assert "Run 3 ended: the workflow's `if` did not hold, so nobody was told at 2026-06-01 12:00:00 UTC." in told
    assert explain(shop.engine.ledger, shop.engine.source, row=("shop.orders", "1")).lines()


def test_health_upkeep_and_erasure_need_no_more_rights(shop: Shop) -> None:
    shop.publish(spec("upgraded", trigger={"change": "shop.customers", "becomes": "plan = 'pro'"}, steps=[TELL]))
    shop.write("UPDATE shop.customers SET plan = 'pro'")
    ledger = shop.engine.ledger
    upkeep = Upkeep(shop.engine)
    while upkeep.turn():
        pass
    with ledger.transaction() as conn:
        assert read_figures(conn, 1).runs == {"completed": 3}
        assert {total.fact: total.number for total in read_totals(conn, 1)}["sent"] == 3
        assert unseen_misses(conn, 1) == []
    erased = erase(ledger, find_address(ledger, "2@x.test"), by="ana", now=shop.clock.now())
    assert (erased["message"], erased["inbox"]) == (1, 1)
    shop.clock.advance_to(shop.clock.now() + timedelta(days=400))
    assert prune(ledger, now=shop.clock.now(), rest=timedelta())["drop_runs"] == 3
