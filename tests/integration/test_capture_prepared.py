"""Where two-phase commit is used, hooks keep out of its way."""

import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from psycopg import Connection

from runtime.capture.doorbell import Doorbell
from runtime.capture.hook import BELL_SPACE
from runtime.capture.outbox import LowWater, lock_batch
from runtime.ledger.migrate import migrate
from runtime.postgres.server import PostgresServer
from tests.fresh_database import SHOP
from tests.hooks import hook


@pytest.fixture(scope="module")
def prepared(server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a database on a server that allows prepared transactions, with staff watched."""
    other = PostgresServer(tmp_path_factory.mktemp("prepared"), scratch=True, binaries=server.binaries)
    other.start()
    try:
        with psycopg.connect(other.url, autocommit=True) as conn:
            conn.execute("ALTER SYSTEM SET max_prepared_transactions = 5")
        other.stop()
        other.start()
        with psycopg.connect(other.url, autocommit=True) as conn:
            conn.execute(SHOP.read_bytes())
            migrate(conn)
            conn.execute(
                "INSERT INTO tidings.project (id, name, system_identifier, database_name, secret)"
                " VALUES (1, 'test', '', '', '')"
            )
            hook(conn, "shop.staff", "email")
        yield other.url
    finally:
        other.stop()


@pytest.fixture
def conn(prepared: str) -> Iterator[Connection[Any]]:
    with psycopg.connect(prepared, autocommit=True) as conn:
        conn.execute("TRUNCATE shop.staff, tidings.outbox")
        yield conn


def test_a_prepared_transaction_is_captured_when_it_commits(conn: Connection[Any]) -> None:
    conn.execute("BEGIN; INSERT INTO shop.staff VALUES (1, 'a@x.test', 'support'); PREPARE TRANSACTION 'one'")
    mark = LowWater()
    for _ in range(3):
        with conn.transaction():
            assert lock_batch(conn, limit=10, low_water=mark.advance(conn)) == []
    conn.execute("COMMIT PREPARED 'one'")
    with conn.transaction():
        assert len(lock_batch(conn, limit=10, low_water=mark.advance(conn))) == 1


def test_no_hook_rings_even_for_somebody_who_sleeps(conn: Connection[Any], prepared: str) -> None:
    with psycopg.connect(prepared, autocommit=True) as sleeper:
        sleeper.execute("SELECT pg_advisory_lock(%s, 1)", (BELL_SPACE,))
        conn.execute("BEGIN; INSERT INTO shop.staff VALUES (1, 'a@x.test', 'support'); PREPARE TRANSACTION 'two'")
    conn.execute("ROLLBACK PREPARED 'two'")


def test_the_dispatcher_looks_by_itself(conn: Connection[Any], prepared: str) -> None:
    with Doorbell(prepared, 1) as bell:
        waiter = threading.Thread(target=bell.wait, args=(timedelta(seconds=20),))
        waiter.start()
        looking, deadline = (0,), time.monotonic() + 5
        while looking == (0,) and time.monotonic() < deadline:
            looking = conn.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT max(id)%' AND state = 'idle'"
            ).fetchall()[0]
        conn.execute("INSERT INTO shop.staff VALUES (1, 'a@x.test', 'support')")
        waiter.join(5)
        assert not waiter.is_alive()


def test_a_change_that_could_not_be_captured_can_be_prepared_as_well(conn: Connection[Any]) -> None:
    conn.execute("ALTER TABLE shop.staff RENAME email TO mail")
    conn.execute("BEGIN; INSERT INTO shop.staff VALUES (1, 'a@x.test', 'support'); PREPARE TRANSACTION 'three'")
    conn.execute("COMMIT PREPARED 'three'")
    conn.execute("ALTER TABLE shop.staff RENAME mail TO email")
    assert conn.execute("SELECT key FROM tidings.outbox_key").fetchall() == [({"id": 1},)]
