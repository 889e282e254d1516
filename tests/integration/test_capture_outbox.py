"""Claiming: nothing is lost or seen twice, in whatever order transactions commit."""

import random
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from psycopg import Connection

from runtime.capture.outbox import SAMPLE_EVERY, Bound, LowWater, lock_batch, remove
from runtime.ledger.queries import load_queries
from tests.hooks import LowWaterByHand, hook

ADD = "INSERT INTO shop.staff SELECT i, i || '@x.test', 'support' FROM generate_series(%s::int, %s::int) AS i"


@pytest.fixture
def claimer(app: Connection[Any], database: str) -> Iterator[Connection[Any]]:
    """The dispatcher's connection, in a database where staff is watched."""
    hook(app, "shop.staff", "email")
    with psycopg.connect(database) as conn:
        yield conn


def _claim(conn: Connection[Any], mark: LowWater | None = None) -> list[int]:
    """Claim everything there is, in a transaction of its own."""
    low_water = mark.advance(conn) if mark else None
    ids = [captured.id for captured in lock_batch(conn, limit=1000, low_water=low_water)]
    assert remove(conn, ids) == len(ids)
    conn.commit()
    return ids


def test_a_batch_comes_in_capture_order_and_nobody_else_takes_any_meanwhile(
    app: Connection[Any], claimer: Connection[Any], database: str
) -> None:
    app.execute(ADD, (1, 5))
    first = lock_batch(claimer, limit=2)
    assert [(captured.id, captured.hook_id, captured.generation) for captured in first] == [(1, 1, 1), (2, 1, 1)]
    assert first[0].captured_at <= first[1].captured_at
    with psycopg.connect(database, autocommit=True) as other:
        assert _claim(other) == []
        claimer.rollback()
        assert _claim(other) == [1, 2, 3, 4, 5]
    assert _claim(claimer) == []
    assert remove(claimer, [1, 2]) == 0


def test_the_mark_rises_when_everything_below_is_claimed(app: Connection[Any], claimer: Connection[Any]) -> None:
    mark = LowWaterByHand()
    app.execute(ADD, (1, 3))
    assert _claim(claimer, mark) == [1, 2, 3]
    assert _claim(claimer, mark) == []
    assert mark.mark == 3
    app.execute(ADD, (4, 5))
    assert _claim(claimer, mark) == [4, 5]
    _claim(claimer, mark)
    assert mark.mark == 5


def test_the_mark_stays_below_what_is_left(app: Connection[Any], claimer: Connection[Any]) -> None:
    mark = LowWaterByHand()
    app.execute(ADD, (1, 5))
    for _ in range(3):
        mark.advance(claimer)
        lock_batch(claimer, limit=10)
        remove(claimer, [1, 2, 4])
        claimer.rollback()
        assert mark.mark == 0
    mark.advance(claimer)
    remove(claimer, [1, 2, 4])
    claimer.commit()
    mark.advance(claimer)
    claimer.commit()
    assert mark.mark == 2
    assert _claim(claimer, mark) == [3, 5]


def test_an_id_drawn_early_and_committed_late_is_not_lost(
    app: Connection[Any], claimer: Connection[Any], database: str
) -> None:
    mark = LowWaterByHand()
    with psycopg.connect(database) as late:
        late.execute(ADD, (1, 1))
        for number in range(2, 6):
            app.execute(ADD, (number, number))
            assert _claim(claimer, mark) == [number]
            assert mark.mark == 0
        late.commit()
    assert _claim(claimer, mark) == [1]
    _claim(claimer, mark)
    assert mark.mark == 5


def test_a_long_transaction_does_not_hold_the_mark_and_is_not_lost(
    app: Connection[Any], claimer: Connection[Any], database: str
) -> None:
    mark = LowWaterByHand()
    app.execute(ADD, (1, 2))
    _claim(claimer, mark)
    _claim(claimer, mark)
    with psycopg.connect(database) as long:
        long.execute(ADD, (3, 3))
        app.execute(ADD, (4, 5))
        assert _claim(claimer, mark) == [4, 5]
        assert mark.advance(claimer).stragglers == {}
        mark.later()
        bound = mark.advance(claimer)
        assert (bound.mark, list(bound.stragglers.values())) == (5, [2])
        long.execute(ADD, (6, 6))
        app.execute(ADD, (7, 7))
        assert _claim(claimer, mark) == [7]
        _claim(claimer, mark)
        assert mark.mark == 7
        long.commit()
    assert _claim(claimer, mark) == [3, 6]
    _claim(claimer, mark)
    assert mark.advance(claimer).stragglers == {}
    assert mark.mark == 7


def test_a_long_transaction_that_ends_just_before_the_claim_comes_before_who_waited_for_its_row(
    app: Connection[Any], claimer: Connection[Any], database: str
) -> None:
    mark = LowWaterByHand()
    with psycopg.connect(database) as long:
        long.execute(ADD, (1, 1))
        app.execute(ADD, (2, 2))
        for _ in range(3):
            _claim(claimer, mark)
            mark.later()
        bound = mark.advance(claimer)
        assert bound.mark == 2
        long.commit()
    app.execute("UPDATE shop.staff SET role = 'finance' WHERE id = 1")
    assert [captured.id for captured in lock_batch(claimer, limit=1, low_water=bound)] == [1]
    assert [captured.id for captured in lock_batch(claimer, limit=9, low_water=bound)] == [1, 3]


@pytest.mark.parametrize("opening", ["SELECT pg_current_xact_id()", "SELECT count(*) FROM shop.staff", ADD % (1, 1)])
def test_while_a_transaction_stays_open_a_claim_walks_over_nothing_that_was_claimed(
    app: Connection[Any], claimer: Connection[Any], database: str, opening: str
) -> None:
    explain = "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + load_queries("runtime.capture")["lock_batch"]
    mark = LowWaterByHand()
    with psycopg.connect(database) as long:
        long.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        long.execute(opening.encode())
        app.execute(ADD, (2, 3000))
        for _ in range(5):
            _claim(claimer, mark)
            mark.later()
        claimer.execute("SET enable_seqscan = off")  # as the dispatcher does
        pages = []
        for bound in (Bound(), mark.advance(claimer)):
            found = claimer.execute(explain.encode(), {"limit": 1000, **bound.values()}).fetchall()
            pages.append(found[0][0][0]["Plan"]["Shared Hit Blocks"])
        assert pages[0] > 40
        assert pages[1] < 10


def test_who_never_wrote_the_outbox_does_not_matter(
    app: Connection[Any], claimer: Connection[Any], database: str
) -> None:
    mark = LowWaterByHand()
    with psycopg.connect(database) as writer, psycopg.connect(database) as reader:
        writer.execute("INSERT INTO shop.customers (id, email) VALUES (1, 'a@x.test')")
        reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT FROM shop.staff")
        app.execute(ADD, (1, 3))
        _claim(claimer, mark)
        assert mark.advance(claimer).stragglers == {}
        assert mark.mark == 3


def test_a_savepoint_stands_for_its_transaction(app: Connection[Any], claimer: Connection[Any], database: str) -> None:
    mark = LowWaterByHand()
    with psycopg.connect(database) as long:
        long.execute("SAVEPOINT one")
        long.execute(ADD, (1, 1))
        long.execute("SAVEPOINT two")
        long.execute(ADD, (2, 2))
        app.execute(ADD, (3, 3))
        for _ in range(4):
            _claim(claimer, mark)
            mark.later()
        assert mark.mark == 3
        assert len(mark.advance(claimer).stragglers) == 1
        claimer.rollback()
        long.execute("ROLLBACK TO two")
        long.commit()
    assert _claim(claimer, mark) == [1]


def test_a_holder_without_a_transaction_id_makes_a_sample_worthless(
    app: Connection[Any], claimer: Connection[Any], database: str
) -> None:
    mark = LowWaterByHand()
    with psycopg.connect(database) as other:
        other.execute("LOCK TABLE tidings.outbox IN ROW EXCLUSIVE MODE")
        app.execute(ADD, (1, 1))
        for _ in range(3):
            _claim(claimer, mark)
            mark.later()
        assert mark.mark == 0
    _claim(claimer, mark)
    assert mark.mark == 1


def test_nothing_rises_in_a_transaction_that_has_written_or_does_not_see_what_is_committed(
    app: Connection[Any], claimer: Connection[Any]
) -> None:
    mark = LowWaterByHand()
    app.execute(ADD, (1, 1))
    claimer.execute("SELECT pg_current_xact_id()")
    mark.advance(claimer)
    claimer.commit()
    claimer.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    claimer.execute("SELECT")
    app.execute("DELETE FROM tidings.outbox")
    mark.advance(claimer)
    claimer.commit()
    assert mark.mark == 0
    mark.advance(claimer)
    assert mark.mark == 1


def test_locks_are_read_every_now_and_then_only(app: Connection[Any], claimer: Connection[Any]) -> None:
    mark = LowWaterByHand(every=SAMPLE_EVERY)
    for number in (1, 2):
        app.execute(ADD, (number, number))
        _claim(claimer, mark)
        _claim(claimer, mark)
        assert mark.mark == 1
    mark.later()
    _claim(claimer, mark)
    assert mark.mark == 2


def test_a_claim_draws_no_transaction_ids_for_the_mark(app: Connection[Any], claimer: Connection[Any]) -> None:
    app.execute(ADD, (1, 3))
    mark = LowWaterByHand()
    mark.advance(claimer)
    mark.advance(claimer)
    assert claimer.execute("SELECT pg_current_xact_id_if_assigned()").fetchone() == (None,)


def test_a_sequence_that_went_back_takes_the_mark_along(app: Connection[Any], claimer: Connection[Any]) -> None:
    mark = LowWaterByHand()
    app.execute(ADD, (1, 9))
    _claim(claimer, mark)
    _claim(claimer, mark)
    assert mark.mark == 9
    app.execute("SELECT setval('tidings.outbox_id_seq', 2)")
    app.execute(ADD, (10, 11))
    assert _claim(claimer, mark) == [3, 4]


def test_nothing_is_lost_under_writers_that_commit_and_roll_back_in_any_order(
    claimer: Connection[Any], database: str
) -> None:
    def write(first: int) -> None:
        chance = random.Random(first)  # noqa: S311  # the same each time
        with psycopg.connect(database) as conn:
            for number in range(first, first + 40):
                middle = number * 10 + chance.randrange(5)
                conn.execute(ADD, (number * 10, middle))
                conn.execute(ADD, (middle + 1, number * 10 + 5))
                conn.rollback() if chance.random() < 0.2 else conn.commit()

    writers = [threading.Thread(target=write, args=(first * 1000,)) for first in range(1, 6)]
    for writer in writers:
        writer.start()
    mark = LowWater(every=timedelta(milliseconds=5), patience=timedelta(milliseconds=5))
    claimed, deadline = 0, time.monotonic() + 20
    while any(writer.is_alive() for writer in writers):
        assert time.monotonic() < deadline
        claimed += len(_claim(claimer, mark))
    claimed += len(_claim(claimer, mark))
    written = claimer.execute("SELECT count(*) FROM shop.staff").fetchone()
    assert written is not None
    assert claimed == written[0] > 300
    assert claimer.execute("SELECT count(*) FROM tidings.outbox").fetchone() == (0,)
    assert mark.mark > 0
