"""Publishing and unpublishing on a table in use: no write waits longer than 100 ms, none is lost or gets a wrong owner.

The applications here give up a write that waits longer than that for a lock, so Postgres itself keeps watch.
"""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from psycopg import Connection

from runtime.errors import Temporary
from runtime.ledger.database import Ledger
from runtime.publishing.publish import Published, publish, unpublish
from runtime.source.reader import Source
from tests.publishing import approve, publish_now, save_and_test, spec

pytestmark = pytest.mark.usefixtures("approved")
BOUND = "100ms"
WRITERS = 3
PARTITIONED = """
DROP TABLE shop.order_items; DROP TABLE shop.orders CASCADE;
CREATE TABLE shop.orders (id bigint PRIMARY KEY, customer_id bigint NOT NULL, status text NOT NULL)
    PARTITION BY HASH (id);
CREATE TABLE shop.orders_0 PARTITION OF shop.orders FOR VALUES WITH (MODULUS 3, REMAINDER 0);
CREATE TABLE shop.orders_1 PARTITION OF shop.orders FOR VALUES WITH (MODULUS 3, REMAINDER 1);
CREATE TABLE shop.orders_2 PARTITION OF shop.orders FOR VALUES WITH (MODULUS 3, REMAINDER 2);
"""


class _Applications:
    """Sessions that ship one order each, over and over."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._stop = threading.Event()
        self._written = [0] * WRITERS
        self.slowest = 0.0
        """Seconds; a busy machine counts as well."""

    @property
    def written(self) -> int:
        """Return how often an order was shipped."""
        return sum(self._written)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Let them write while the block lasts; raises what one of them met."""
        with ThreadPoolExecutor(WRITERS) as pool:
            busy = [pool.submit(self._work, number) for number in range(WRITERS)]
            try:
                while not all(self._written) and not any(each.done() for each in busy):
                    time.sleep(0.001)
                yield
                before = self.written
                while self.written < before + 50 and not any(each.done() for each in busy):
                    time.sleep(0.001)
            finally:
                self._stop.set()
            for each in busy:
                each.result(timeout=5)

    def _work(self, number: int) -> None:
        with psycopg.connect(self._url, autocommit=True) as conn:
            conn.execute(f"SET lock_timeout = '{BOUND}'".encode())
            while not self._stop.is_set():
                for status in ("pending", "shipped"):
                    began = time.monotonic()
                    conn.execute("UPDATE shop.orders SET status = %s WHERE id = %s", (status, number))
                    self.slowest = max(self.slowest, time.monotonic() - began)
                self._written[number] += 1


@pytest.fixture
def shop(app: Connection[Any]) -> Connection[Any]:
    """The application's tables, with an order for each session and one more."""
    app.execute("INSERT INTO shop.customers (id, email) VALUES (1, 'one@x.test')")
    app.execute(
        "INSERT INTO shop.orders (id, customer_id, status, total_cents, placed_at)"
        " SELECT i, 1, 'pending', 100, '2026-05-01' FROM generate_series(0, 9) AS i"
    )
    return app


def _wait_until(conn: Connection[Any], question: str, publishing: Future[Published]) -> None:
    deadline = time.monotonic() + 10
    while conn.execute(question.encode()).fetchone() != (True,):
        assert not publishing.done()
        assert time.monotonic() < deadline


def _holds(table: str) -> str:
    return f"SELECT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = '{table}'::regclass AND tgname LIKE 'tidings%')"


def test_no_write_waits_longer_than_the_bound_while_a_long_transaction_keeps_a_publish_trying(
    ledger: Ledger, source: Source, database: str, shop: Connection[Any]
) -> None:
    digest = save_and_test(ledger, source, spec())
    approve(ledger, source, "shipped")
    applications = _Applications(database)
    with (
        applications.at_work(),
        ThreadPoolExecutor(1) as pool,
        psycopg.connect(database) as writer,
        psycopg.connect(database) as reader,
    ):
        reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT FROM shop.orders")
        writer.execute("UPDATE shop.orders SET total_cents = 1 WHERE id = 9")
        publishing = pool.submit(publish, ledger, source, database, "shipped", digest=digest)
        for _ in range(5):
            waits = "SELECT count(*) > 0 FROM pg_locks WHERE relation = 'shop.orders'::regclass AND NOT granted"
            _wait_until(shop, f"{waits} AND mode = 'ShareRowExclusiveLock'", publishing)
            _wait_until(shop, waits.replace("> 0", "= 0"), publishing)
        writer.rollback()
        assert publishing.result(timeout=10).number == 1
    assert applications.slowest < 1
    shop.execute("UPDATE shop.orders SET status = 'shipped' WHERE id = 9")
    assert shop.execute("SELECT count(*) FROM tidings.outbox WHERE (key->>'id')::int = 9").fetchone() == (1,)


def test_partitions_are_taken_one_by_one_so_that_their_waits_never_add_up(
    ledger: Ledger, source: Source, database: str, app: Connection[Any]
) -> None:
    app.execute(PARTITIONED)
    app.execute("INSERT INTO shop.orders SELECT i, 1, 'pending' FROM generate_series(0, 19) AS i")
    digest = save_and_test(ledger, source, spec())
    approve(ledger, source, "shipped")
    [(away,)] = app.execute("SELECT max(id) FROM shop.orders_2")
    applications = _Applications(database)
    with applications.at_work(), ThreadPoolExecutor(1) as pool, psycopg.connect(database) as writer:
        writer.execute("UPDATE shop.orders_2 SET status = 'paid' WHERE id = %s", (away,))
        publishing = pool.submit(publish, ledger, source, database, "shipped", digest=digest)
        _wait_until(app, _holds("shop.orders_1"), publishing)
        assert app.execute(_holds("shop.orders_2")).fetchone() == (False,)
        writer.rollback()
        assert publishing.result(timeout=10).number == 1
    assert applications.slowest < 1


def test_whoever_holds_the_table_is_named(
    ledger: Ledger, source: Source, database: str, shop: Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.postgres.locks.TRIES", 2)
    digest = save_and_test(ledger, source, spec())
    approve(ledger, source, "shipped")
    with psycopg.connect(database, application_name="nightly import") as other:
        other.execute("UPDATE shop.orders SET total_cents = 1 WHERE id = 9")
        with pytest.raises(Temporary) as error:
            publish(ledger, source, database, "shipped", digest=digest)
        assert f"pid {other.info.backend_pid} (nightly import), in its transaction since" in str(error.value)
        assert "its last query began" in str(error.value)
    assert shop.execute("SELECT count(*) FROM tidings.workflow_version").fetchone() == (0,)


def test_what_is_hooked_already_is_published_and_unpublished_beside_any_lock_and_loses_nothing(
    ledger: Ledger, source: Source, database: str, shop: Connection[Any]
) -> None:
    publish_now(ledger, source, database, spec())
    applications = _Applications(database)
    with psycopg.connect(database) as long:
        long.execute("UPDATE shop.orders SET status = 'shipped' WHERE id = 9")
        with applications.at_work():
            for about in ("Tells them.", "Tells everybody."):
                publish_now(ledger, source, database, spec(about=about))
            unpublish(ledger, database, "shipped")
            again = publish_now(ledger, source, database, spec())
        long.commit()
    assert applications.slowest < 1
    rows = shop.execute(
        "SELECT v.number, count(*) FROM tidings.outbox o LEFT JOIN tidings.workflow_version v ON v.hook_id = o.hook_id"
        " AND v.from_generation <= o.generation AND o.generation < coalesce(v.until_generation, 99)"
        " WHERE o.new->>'status' = 'shipped' GROUP BY 1 ORDER BY 1"
    ).fetchall()
    assert again.number == 4
    assert {number for number, _ in rows} <= {1, 2, 3, 4}
    assert {1, 4} <= {number for number, _ in rows}
    gaps = shop.execute("SELECT count(*) FROM tidings.outbox_key").fetchone()
    assert gaps == (0,)


def test_an_unpublish_puts_no_trigger_on_and_so_needs_no_lock(
    ledger: Ledger, source: Source, database: str, app: Connection[Any]
) -> None:
    app.execute(PARTITIONED)
    publish_now(ledger, source, database, spec())
    publish_now(ledger, source, database, spec("paid", trigger={"change": "shop.orders", "becomes": "status = 'paid'"}))
    app.execute(
        "ALTER TABLE shop.orders DETACH PARTITION shop.orders_2; DROP TABLE shop.orders_2;"
        "CREATE TABLE shop.orders_2 PARTITION OF shop.orders FOR VALUES WITH (MODULUS 3, REMAINDER 2)"
    )
    with psycopg.connect(database) as other:
        other.execute("LOCK TABLE shop.orders_2 IN ROW EXCLUSIVE MODE")
        unpublish(ledger, database, "shipped")
    assert app.execute(_holds("shop.orders_2")).fetchone() == (False,)
