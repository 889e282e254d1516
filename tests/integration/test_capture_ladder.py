"""A write never fails because of its hook, and what could not be captured is known."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from psycopg import Connection

from runtime.capture.health import capture_health
from tests.hooks import count, events, hook, keys

PRODUCTS = "INSERT INTO shop.products SELECT i, i::text, 'x', i, 10, 100 FROM generate_series(1, 5) AS i"


@contextmanager
def _locked(url: str, *tables: str) -> Iterator[None]:
    """Hold the strongest lock on tables, as a migration would."""
    with psycopg.connect(url) as other:
        other.execute(f"LOCK TABLE {', '.join(tables)} IN ACCESS EXCLUSIVE MODE")
        yield
        other.rollback()


def _seconds(conn: Connection[Any], statement: str) -> float:
    started = time.monotonic()
    conn.execute(statement)
    return time.monotonic() - started


@pytest.mark.parametrize(
    "migration",
    ["RENAME stock TO in_stock", "DROP stock", "DROP CONSTRAINT products_stock_check, ALTER stock TYPE text"],
)
def test_a_column_changed_under_a_live_hook_harms_no_write(app: Connection[Any], migration: str) -> None:
    app.execute(PRODUCTS)
    hook(app, "shop.products", "stock", prefilter={"update": 'n."stock" >= 0'})
    app.execute("UPDATE shop.products SET title = 'y' WHERE id = 1")
    assert len(events(app)) == 1
    app.execute(f"ALTER TABLE shop.products {migration}")
    app.execute("UPDATE shop.products SET title = 'z' WHERE id < 3")
    app.execute("DELETE FROM shop.products WHERE id = 5")
    assert app.execute("SELECT count(*) FROM shop.products WHERE title = 'z'").fetchone() == (2,)
    health = capture_health(app, 1)
    assert health.red
    if "TYPE" in migration:
        assert [op for op, _, _, _ in events(app)] == ["d"]
        assert sorted(key["id"] for _, key, _ in keys(app)) == [1, 2]
        return
    assert events(app) == []
    assert sorted((op, key["id"]) for op, key, _ in keys(app)) == [("d", 5), ("u", 1), ("u", 2)]
    assert all(error.startswith("42703: ") for _, _, error in keys(app))
    assert health.keys_only == 3
    assert any("no longer has the column 'stock'" in reason for reason in health.reasons)
    app.execute("ALTER TABLE shop.products DROP IF EXISTS in_stock, ADD stock int")
    hook(app, "shop.products", "stock")
    app.execute("UPDATE shop.products SET title = 'w' WHERE id = 2")
    assert len(events(app)) == 1


def test_unrelated_columns_may_come_and_go_in_a_session_that_writes(app: Connection[Any]) -> None:
    app.execute(PRODUCTS)
    hook(app, "shop.products", "stock")
    for migration in (
        "ADD note text DEFAULT 'n'",
        "DROP title",
        "ADD title text",
        "ALTER price_cents TYPE bigint",
        "DROP note",
    ):
        with app.transaction():
            app.execute("UPDATE shop.products SET reorder_level = 1 WHERE id = 1")
            app.execute(f"ALTER TABLE shop.products {migration}")
            app.execute("UPDATE shop.products SET reorder_level = 2 WHERE id < 4")
    assert len(events(app)) == 20
    assert keys(app) == []


def test_columns_that_are_called_like_the_hooks_variables_do_not_confuse_it(app: Connection[Any]) -> None:
    app.execute(
        "CREATE TABLE shop.issues (id int PRIMARY KEY, problem text, broken text, pairs bigint, hit boolean, note text)"
    )
    hook(app, "shop.issues")
    app.execute("ALTER TABLE shop.issues DROP note")
    app.execute("INSERT INTO shop.issues VALUES (1, 'too loud', 'radio', 7)")
    assert [error[:7] for _, _, error in keys(app)] == ["42703: "]


def test_a_renamed_key_column_leaves_the_counter(app: Connection[Any]) -> None:
    app.execute(PRODUCTS)
    installed = hook(app, "shop.products", "stock")
    app.execute("ALTER TABLE shop.products RENAME id TO product_id")
    app.execute("UPDATE shop.products SET title = 'y' WHERE product_id < 3")
    assert (events(app), keys(app)) == ([], [])
    assert count(app, f"missed_{installed.hook_id}") == 2
    health = capture_health(app, 1)
    assert health.missed == 2
    assert "2 changed row(s) of shop.products were missed, not even their keys are known." in health.reasons


def test_a_lock_on_the_outbox_costs_a_bounded_wait_and_leaves_the_key(app: Connection[Any], database: str) -> None:
    hook(app, "shop.products", "stock")
    with _locked(database, "tidings.outbox"):
        assert 0.04 < _seconds(app, PRODUCTS) < 1
    assert [error[:5] for _, _, error in keys(app)] == ["55P03"] * 5
    assert count(app, "missed_1") == 0


def test_with_every_table_of_ours_locked_the_write_is_counted_also_if_it_is_rolled_back(
    app: Connection[Any], database: str
) -> None:
    hook(app, "shop.products", "stock")
    with _locked(database, "tidings.outbox", "tidings.outbox_key"):
        with app.transaction(force_rollback=True):
            assert _seconds(app, PRODUCTS) < 1
        assert _seconds(app, PRODUCTS) < 1
    assert (events(app), keys(app)) == ([], [])
    assert count(app, "missed_1") == 10


def test_not_even_a_lost_counter_makes_a_write_fail(app: Connection[Any], database: str) -> None:
    hook(app, "shop.products", "stock")
    app.execute("DROP SEQUENCE tidings.missed_1, tidings.skipped_1")
    with _locked(database, "tidings.outbox", "tidings.outbox_key"):
        app.execute(PRODUCTS)
        app.execute("SET tidings.skip = on; UPDATE shop.products SET stock = 3")
    assert any("has lost its counter" in reason for reason in capture_health(app, 1).reasons)


def test_three_failures_spare_the_session_further_waits_until_the_hook_is_made_anew(
    app: Connection[Any], database: str
) -> None:
    app.execute(PRODUCTS)
    hook(app, "shop.products", "stock")
    update = "UPDATE shop.products SET stock = 1 WHERE id = 1"
    with _locked(database, "tidings.outbox"):
        assert all(_seconds(app, update) >= 0.05 for _ in range(3))
        assert sum(_seconds(app, update) for _ in range(10)) < 0.3
        app.execute("SET tidings.skip = off")
    app.execute(update)
    assert events(app) == []
    assert [error[:9] for _, _, error in keys(app)][3:] == ["not tried"] * 11
    with psycopg.connect(database, autocommit=True) as other:
        other.execute(update)
        assert len(events(other)) == 1
    hook(app, "shop.products", "stock")
    app.execute(update)
    assert len(events(app)) == 1


def test_with_every_table_locked_a_session_soon_waits_no_more_at_all(app: Connection[Any], database: str) -> None:
    app.execute(PRODUCTS)
    hook(app, "shop.products", "stock")
    update = "UPDATE shop.products SET stock = 1 WHERE id = 1"
    with _locked(database, "tidings.outbox", "tidings.outbox_key"):
        app.execute(f"{update}; {update}; {update}")
        assert sum(_seconds(app, update) for _ in range(10)) < 0.3
    assert count(app, "missed_1") == 13


def test_a_session_that_stopped_trying_tries_again_after_a_while(app: Connection[Any]) -> None:
    app.execute(PRODUCTS)
    hook(app, "shop.products", "stock")
    update = "UPDATE shop.products SET stock = 1 WHERE id = 1"
    app.execute("SET tidings.broken_1 = '1 3 100'")
    app.execute(update)
    assert len(events(app)) == 1
    assert app.execute("SHOW tidings.broken_1").fetchone() == ("",)
    app.execute("SET tidings.broken_1 = '1 3 9999999999'")
    app.execute(update)
    assert events(app) == []
    app.execute("SET tidings.broken_1 = '1 3 nonsense'")
    app.execute(update)
    assert "invalid input syntax" in keys(app)[-1][2]


def test_two_failures_in_a_row_are_forgotten_by_one_success(app: Connection[Any], database: str) -> None:
    app.execute(PRODUCTS)
    hook(app, "shop.products", "stock")
    update = "UPDATE shop.products SET stock = 1 WHERE id = 1"
    for _ in range(3):
        with _locked(database, "tidings.outbox"):
            app.execute(f"{update}; {update}")
        app.execute(update)
    assert len(events(app)) == 3


def test_a_statement_timeout_of_the_user_neither_changes_nor_strikes_because_of_a_hook(
    app: Connection[Any], database: str
) -> None:
    hook(app, "shop.products", "stock")
    app.execute("SET statement_timeout = '5s'; SET lock_timeout = '7s'")
    with _locked(database, "tidings.outbox"):
        app.execute(PRODUCTS)
    assert app.execute("SHOW statement_timeout").fetchone() == ("5s",)
    assert app.execute("SHOW lock_timeout").fetchone() == ("7s",)
    app.execute("SET statement_timeout = '30ms'")
    with _locked(database, "tidings.outbox", "tidings.outbox_key"):
        app.execute("UPDATE shop.products SET stock = 3 WHERE id = 1")
    assert len(keys(app)) == 5
    assert count(app, "missed_1") == 1


def test_one_failing_hook_does_not_touch_the_rest_of_a_transaction(app: Connection[Any]) -> None:
    app.execute(PRODUCTS)
    hook(app, "shop.products", "stock")
    hook(app, "shop.staff", "email")
    app.execute("ALTER TABLE shop.products RENAME stock TO in_stock")
    with app.transaction():
        app.execute("INSERT INTO shop.staff VALUES (1, 'a@x.test', 'support')")
        app.execute("UPDATE shop.products SET title = 'y' WHERE id = 1")
        app.execute("INSERT INTO shop.staff VALUES (2, 'b@x.test', 'support')")
    assert [key for _, key, _, _ in events(app)] == [{"id": 1}, {"id": 2}]
    assert [key for _, key, _ in keys(app)] == [{"id": 1}]


def test_writers_do_not_wait_for_each_other_in_the_hook(app: Connection[Any], database: str) -> None:
    app.execute(PRODUCTS)
    hook(app, "shop.products", "stock")

    def write(number: int) -> None:
        with psycopg.connect(database) as conn:
            conn.execute("UPDATE shop.products SET stock = 9 WHERE id = %s", (number,))
            together.wait(5)  # everybody has captured, nobody has committed

    together = threading.Barrier(5)
    writers = [threading.Thread(target=write, args=(number,)) for number in range(1, 6)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(5)
    assert sorted(key["id"] for _, key, _, _ in events(app)) == [1, 2, 3, 4, 5]
