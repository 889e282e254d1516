"""The engine with the rights that set-up gives it, and no others: three roles, none of them a superuser."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from runtime.clock import VirtualClock
from runtime.engine.why import explain
from runtime.ledger.database import Ledger
from runtime.postgres.server import PostgresServer
from runtime.settings import load_settings
from runtime.setup.prepare import apply, prepare
from runtime.source.reader import Source
from tests.engine_runs import Shop, engine_on
from tests.fresh_database import fresh_database
from tests.publishing import SEND, spec


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
