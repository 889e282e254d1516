"""What applications do to a watched table: all is captured, or it is known that it was not, and no write fails."""

import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg
import pytest
from psycopg import Connection

from runtime.capture.health import capture_health
from runtime.capture.hook import LOCK_TIMEOUT
from tests.hooks import count, events, hook, keys
from tests.servers.pooler import transaction_pooler

PRODUCTS = "INSERT INTO shop.products SELECT i, i::text, 'x', i, 10, 100 FROM generate_series(1, 5) AS i"


def test_an_update_of_two_hundred_thousand_rows_is_captured_whole_and_in_pairs(app: Connection[Any]) -> None:
    app.execute("INSERT INTO shop.staff SELECT i, 'x', 'support' FROM generate_series(1, 200000) AS i")
    hook(app, "shop.staff", "role", ops=("update",), prefilter="n.\"role\" = 'finance'")
    app.execute("UPDATE shop.staff SET role = 'finance'")
    told = app.execute(
        "SELECT count(*), count(DISTINCT key), bool_and(new->'id' = old->'id'), bool_and(old->>'role' = 'support')"
        " FROM tidings.outbox"
    )
    assert told.fetchone() == (200_000, 200_000, True, True)
    assert keys(app) == []


def test_a_foreign_key_that_sets_null_is_an_update(app: Connection[Any]) -> None:
    app.execute(
        "CREATE TABLE shop.boxes (id int PRIMARY KEY);"
        "CREATE TABLE shop.things (id int PRIMARY KEY, box int REFERENCES shop.boxes ON DELETE SET NULL);"
        "INSERT INTO shop.boxes VALUES (1), (2); INSERT INTO shop.things VALUES (1, 1), (2, 2), (3, 1)"
    )
    hook(app, "shop.things")
    app.execute("DELETE FROM shop.boxes WHERE id = 1")
    assert sorted((op, new["id"], new["box"], old["box"]) for op, _, new, old in events(app)) == [
        ("u", 1, None, 1),
        ("u", 3, None, 1),
    ]


def test_a_trigger_of_the_user_that_writes_the_table_again_is_captured_level_by_level(app: Connection[Any]) -> None:
    app.execute(
        "CREATE FUNCTION shop.restock() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN"
        " UPDATE shop.products SET stock = stock + 1 WHERE id = NEW.id AND stock < 4; RETURN NULL; END$$;"
        "CREATE TRIGGER restock AFTER INSERT OR UPDATE ON shop.products FOR EACH ROW EXECUTE FUNCTION shop.restock()"
    )
    hook(app, "shop.products", "stock")
    app.execute(PRODUCTS)
    found = events(app)
    assert sum(op == "i" for op, *_ in found) == 5
    steps = [(old["stock"], new["stock"]) for op, key, new, old in found if op == "u" and key == {"id": 1}]
    assert sorted(steps) == [(1, 2), (2, 3), (3, 4)]
    assert keys(app) == []


@pytest.mark.parametrize("name", ["statement_timeout", "transaction_timeout"])
def test_where_the_session_has_a_time_limit_a_hook_waits_for_nothing(
    app: Connection[Any], database: str, name: str
) -> None:
    if name == "transaction_timeout" and app.info.server_version < 170000:
        pytest.skip("transaction_timeout came with Postgres 17")
    hook(app, "shop.products", "stock")
    app.execute(f"SET {name} = '2s'".encode())
    with psycopg.connect(database) as other:
        other.execute("LOCK TABLE tidings.outbox IN ACCESS EXCLUSIVE MODE")
        app.execute(PRODUCTS)
        other.rollback()
    assert [error[:27] for _, _, error in keys(app)] == ["55P03: could not obtain loc"] * 5


@pytest.mark.parametrize("patience", ["1ms", "10s", "0"])
def test_the_sessions_own_lock_timeout_is_not_the_hooks(app: Connection[Any], database: str, patience: str) -> None:
    hook(app, "shop.products", "stock")
    app.execute(f"SET lock_timeout = '{patience}'".encode())
    with psycopg.connect(database) as other:
        other.execute("LOCK TABLE tidings.outbox, tidings.outbox_key IN ACCESS EXCLUSIVE MODE")
        began = time.monotonic()
        app.execute(PRODUCTS)
        assert LOCK_TIMEOUT == "50ms"
        assert 0.045 < time.monotonic() - began < 2
        other.rollback()
    assert count(app, "missed_1") == 5
    assert app.execute("SHOW lock_timeout").fetchone() == (patience,)


def test_a_truncate_is_known_where_deletes_are_watched_and_gone_if_it_is_rolled_back(app: Connection[Any]) -> None:
    app.execute(PRODUCTS)
    hook(app, "shop.products", "stock")
    with app.transaction(force_rollback=True):
        app.execute("TRUNCATE shop.products CASCADE")
    assert keys(app) == []
    app.execute("TRUNCATE shop.products CASCADE")
    assert keys(app) == [("d", None, "TRUNCATE of shop.products, whose rows nobody knows")]
    [reason] = capture_health(app, 1).reasons
    assert reason.endswith("known by key only. Last: TRUNCATE of shop.products, whose rows nobody knows")
    hook(app, "shop.products", "stock", ops=("insert",))
    app.execute("TRUNCATE shop.products CASCADE; SET tidings.skip = on")
    hook(app, "shop.products", "stock", ops=("delete",))
    app.execute("TRUNCATE shop.products CASCADE")
    assert (len(keys(app)), count(app, "skipped_1"), count(app, "missed_1")) == (1, 1, 0)


def test_a_truncate_does_not_wait_for_a_table_of_ours_and_is_counted(app: Connection[Any], database: str) -> None:
    app.execute(PRODUCTS)
    hook(app, "shop.products", "stock")
    with psycopg.connect(database) as other:
        other.execute("LOCK TABLE tidings.outbox_key IN ACCESS EXCLUSIVE MODE")
        app.execute("SET statement_timeout = '5s'; TRUNCATE shop.products CASCADE")
        other.rollback()
    assert (keys(app), count(app, "missed_1")) == ([], 1)


def test_a_session_that_replicates_is_not_captured_and_a_role_that_always_does_is_named(app: Connection[Any]) -> None:
    hook(app, "shop.products", "stock")
    app.execute("SET session_replication_role = replica")
    app.execute(PRODUCTS)
    assert (events(app), keys(app)) == ([], [])
    assert not capture_health(app, 1).red
    app.execute("DROP ROLE IF EXISTS loader; CREATE ROLE loader")
    try:
        app.execute("ALTER ROLE loader SET session_replication_role = replica")
        assert [reason[:58] for reason in capture_health(app, 1).reasons] == [
            "Sessions of loader in every database start with session_re"
        ]
    finally:
        app.execute("DROP ROLE loader")


def test_a_partitioned_table_has_a_limit_that_the_doctor_tells(app: Connection[Any]) -> None:
    app.execute("CREATE TABLE shop.days (id int, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (at)")
    hook(app, "shop.days", ops=("insert",))
    assert capture_health(app, 1).limits == ()
    hook(app, "shop.days")
    health = capture_health(app, 1)
    assert not health.red
    assert [limit[:57] for limit in health.limits] == [
        "shop.days is partitioned: an UPDATE by MERGE that moves a r"[:57]
    ]


@pytest.fixture
def pooled(app: Connection[Any], database: str) -> Iterator[tuple[Connection[Any], Connection[Any]]]:
    """Two applications that share one session of the server by turns, as behind a pooler in transaction mode."""
    hook(app, "shop.products", "stock")
    with transaction_pooler(database) as url:
        first = psycopg.connect(url, autocommit=True, prepare_threshold=None)
        second = psycopg.connect(url, autocommit=True, prepare_threshold=None)
        with closing(first), closing(second):
            yield first, second


def test_behind_a_pooler_a_skip_ends_with_its_transaction_if_it_is_local(
    app: Connection[Any], pooled: tuple[Connection[Any], Connection[Any]]
) -> None:
    first, second = pooled
    with first.transaction():
        first.execute("SET LOCAL tidings.skip = on")
        first.execute("INSERT INTO shop.products VALUES (1, 'a', 'A', 5, 10, 100)")
    second.execute("INSERT INTO shop.products VALUES (2, 'b', 'B', 5, 10, 100)")
    assert ([key for _, key, _, _ in events(app)], count(app, "skipped_1")) == ([{"id": 2}], 1)


def test_behind_a_pooler_a_session_that_stopped_trying_spares_everybody_on_it_and_goes_on(
    app: Connection[Any], database: str, pooled: tuple[Connection[Any], Connection[Any]]
) -> None:
    first, second = pooled
    second.execute(PRODUCTS)
    with psycopg.connect(database) as other:
        other.execute("LOCK TABLE tidings.outbox IN ACCESS EXCLUSIVE MODE")
        for number in (1, 2, 3, 4):
            (first, second)[number % 2].execute("UPDATE shop.products SET stock = 9 WHERE id = %s", (number,))
        other.rollback()
    assert [error[:9] for _, _, error in keys(app)][3:] == ["not tried"]
    hook(app, "shop.products", "stock")
    second.execute("UPDATE shop.products SET stock = 8 WHERE id = 5")
    assert [key for op, key, _, _ in events(app) if op == "u"] == [{"id": 5}]
