"""Where two-phase commit is used, hooks keep out of its way."""

import random
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from psycopg import Connection

from runtime.capture.doorbell import Doorbell
from runtime.capture.hook import BELL_SPACE
from runtime.capture.outbox import LowWater, lock_batch, remove
from runtime.ledger.migrate import migrate
from runtime.postgres.server import PostgresServer
from tests.fresh_database import SHOP
from tests.hooks import LowWaterByHand, hook


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
        conn.execute("DELETE FROM shop.staff; TRUNCATE tidings.outbox, tidings.outbox_key")
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
                "SELECT count(*) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND state = 'idle'"
                " AND query LIKE '%max(id) FROM tidings.outbox%'"
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


def test_a_long_transaction_that_is_prepared_meanwhile_stays_a_straggler(conn: Connection[Any], prepared: str) -> None:
    mark = LowWaterByHand()
    with psycopg.connect(prepared, autocommit=True) as long, psycopg.connect(prepared) as claimer:
        long.execute("BEGIN; INSERT INTO shop.staff VALUES (1, 'a@x.test', 'support')")
        conn.execute("INSERT INTO shop.staff VALUES (2, 'b@x.test', 'support')")
        assert len(_claim(claimer, mark)) == 1
        mark.later()
        passed = mark.advance(claimer).mark
        claimer.rollback()
        assert passed > 0
        long.execute("PREPARE TRANSACTION 'four'")
        for _ in range(3):
            assert _claim(claimer, mark) == []
            mark.later()
        assert len(mark.advance(claimer).stragglers) == 1
        claimer.rollback()
        conn.execute("COMMIT PREPARED 'four'")
        assert [key for _, key, _ in _claim(claimer, mark)] == [1]


def _claim(conn: Connection[Any], mark: LowWater, limit: int = 100) -> list[tuple[int, int, str]]:
    """Claim in a transaction of its own, and return id, key and the address that was captured."""
    with conn.transaction():
        ids = [captured.id for captured in lock_batch(conn, limit=limit, low_water=mark.advance(conn))]
        rows = conn.execute(
            "SELECT id, (key->>'id')::int, new->>'email' FROM tidings.outbox WHERE id = ANY(%s) ORDER BY id", (ids,)
        ).fetchall()
        remove(conn, ids)
    return rows


class _Writers:
    """Sessions that overlap in every way: each writes rows that no other one holds, and ends sometime, somehow."""

    def __init__(self, url: str, stack: ExitStack, chance: random.Random) -> None:
        self._chance = chance
        self._free = [stack.enter_context(psycopg.connect(url, autocommit=True)) for _ in range(5)]
        self._busy: list[Connection[Any]] = []
        self._prepared: list[str] = []
        self._held: dict[object, dict[int, int]] = {}
        self.kept: dict[int, int] = {}
        """What was committed: key → how often it was written."""

    def act(self) -> None:
        """Do one thing."""
        act = self._chance.choice([self._write, self._write, self._undo_part, self._end, self._prepare, self._decide])
        act()

    def finish(self) -> None:
        """End everything that is open."""
        while self._busy or self._prepared:
            self._end()
            self._decide()

    def _write(self) -> None:
        if not self._busy or (self._free and self._chance.random() < 0.5):
            if not self._free:
                return
            self._busy.append(self._free.pop())
            self._busy[-1].execute("BEGIN")
        conn = self._chance.choice(self._busy)
        held = self._held.setdefault(conn, {})
        key = self._chance.randrange(30)
        if any(key in other for owner, other in self._held.items() if owner is not conn):
            return
        held[key] = held.get(key, self.kept.get(key, 0)) + 1
        conn.execute(
            "INSERT INTO shop.staff VALUES (%s, %s, 'support') ON CONFLICT (id) DO UPDATE SET email = excluded.email",
            (key, str(held[key])),
        )

    def _undo_part(self) -> None:
        if self._busy:
            conn = self._chance.choice(self._busy)
            conn.execute("SAVEPOINT a; INSERT INTO shop.staff VALUES (99, 'never', 'support'); ROLLBACK TO a")

    def _end(self) -> None:
        if self._busy:
            conn = self._busy.pop(self._chance.randrange(len(self._busy)))
            keep = self._chance.random() < 0.7
            conn.execute("COMMIT" if keep else "ROLLBACK")
            self._part(conn, keep=keep)
            self._free.append(conn)

    def _prepare(self) -> None:
        if self._busy and len(self._prepared) < 3:
            conn = self._busy.pop(self._chance.randrange(len(self._busy)))
            name = f"p{self._chance.random()}"
            conn.execute(f"PREPARE TRANSACTION '{name}'".encode())
            self._held[name] = self._held.pop(conn, {})
            self._prepared.append(name)
            self._free.append(conn)

    def _decide(self) -> None:
        if self._prepared and self._free:
            name = self._prepared.pop(self._chance.randrange(len(self._prepared)))
            keep = self._chance.random() < 0.7
            self._free[0].execute(f"{'COMMIT' if keep else 'ROLLBACK'} PREPARED '{name}'".encode())
            self._part(name, keep=keep)

    def _part(self, owner: object, *, keep: bool) -> None:
        held = self._held.pop(owner, {})
        if keep:
            self.kept |= held


@pytest.mark.parametrize("seed", range(6))
def test_nothing_is_lost_doubled_or_out_of_order_however_transactions_overlap(
    conn: Connection[Any], prepared: str, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311  # the same each time
    with ExitStack() as stack:
        writers = _Writers(prepared, stack, chance)
        claimers = [(stack.enter_context(psycopg.connect(prepared)), LowWaterByHand()) for _ in range(2)]
        seen: list[tuple[int, int, str]] = []
        for _ in range(250):
            writers.act()
            if chance.random() < 0.4:
                claimer, mark = chance.choice(claimers)
                if chance.random() < 0.5:
                    mark.later()
                seen += _claim(claimer, mark, chance.choice([1, 3, 100]))
        passed = [mark.mark for _, mark in claimers]
        writers.finish()
        while found := _claim(*claimers[0]):
            seen += found
    assert conn.execute("SELECT count(*) FROM tidings.outbox").fetchone() == (0,)
    told: dict[int, list[int]] = {}
    for _, key, email in seen:
        told.setdefault(key, []).append(int(email))
    assert told == {key: list(range(1, times + 1)) for key, times in writers.kept.items()}
    assert len(seen) == sum(writers.kept.values()) > 30
    assert max(passed) > 0
