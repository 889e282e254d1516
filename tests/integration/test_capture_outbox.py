"""Claiming: nothing is lost or seen twice, in whatever order transactions commit."""

import random
import threading
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import Connection

from runtime.capture.outbox import LowWater, lock_batch, remove
from tests.hooks import hook

ADD = "INSERT INTO shop.staff SELECT i, i || '@x.test', 'support' FROM generate_series(%s::int, %s::int) AS i"


@pytest.fixture
def claimer(app: Connection[Any], database: str) -> Iterator[Connection[Any]]:
    """The dispatcher's connection, in a database where staff is watched."""
    hook(app, "shop.staff", "email")
    with psycopg.connect(database) as conn:
        yield conn


def _claim(conn: Connection[Any], mark: LowWater | None = None) -> list[int]:
    """Claim everything there is, in a transaction of its own."""
    low_water = mark.advance(conn) if mark else 0
    ids = [captured.id for captured in lock_batch(conn, limit=1000, low_water=low_water)]
    assert remove(conn, ids) == len(ids)
    conn.commit()
    return ids


def test_a_batch_comes_in_capture_order_and_stays_with_whoever_locked_it(
    app: Connection[Any], claimer: Connection[Any], database: str
) -> None:
    app.execute(ADD, (1, 5))
    first = lock_batch(claimer, limit=2)
    assert [(captured.id, captured.hook_id, captured.generation) for captured in first] == [(1, 1, 1), (2, 1, 1)]
    assert first[0].captured_at <= first[1].captured_at
    with psycopg.connect(database) as other:
        assert _claim(other) == [3, 4, 5]
    claimer.rollback()
    assert _claim(claimer) == [1, 2]
    assert remove(claimer, [1, 2]) == 0


def test_the_mark_rises_when_everything_below_is_claimed(app: Connection[Any], claimer: Connection[Any]) -> None:
    mark = LowWater()
    app.execute(ADD, (1, 3))
    assert _claim(claimer, mark) == [1, 2, 3]
    assert _claim(claimer, mark) == []
    assert mark.mark == 3
    app.execute(ADD, (4, 5))
    assert _claim(claimer, mark) == [4, 5]
    _claim(claimer, mark)
    assert mark.mark == 5


def test_the_mark_stays_below_what_is_left(app: Connection[Any], claimer: Connection[Any]) -> None:
    mark = LowWater()
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
    mark = LowWater()
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


def test_a_transaction_that_nothing_came_after_holds_the_mark(claimer: Connection[Any], database: str) -> None:
    """Its id is not below pg_snapshot_xmax: whoever compared with that would lose its row."""
    mark = LowWater()
    with psycopg.connect(database) as late:
        late.execute(ADD, (1, 1))
        for _ in range(3):
            assert _claim(claimer, mark) == []
        assert mark.mark == 0
        late.commit()
    assert _claim(claimer, mark) == [1]


def test_no_sample_is_taken_in_a_transaction_that_has_written_before(claimer: Connection[Any], database: str) -> None:
    mark = LowWater()
    claimer.execute("SELECT pg_current_xact_id()")
    with psycopg.connect(database) as late:
        late.execute(ADD, (1, 1))
        mark.advance(claimer)
        claimer.commit()
        mark.advance(claimer)
        claimer.commit()
        assert mark.mark == 0
        late.commit()
    assert _claim(claimer, mark) == [1]


def test_a_quiet_outbox_draws_no_transaction_ids(app: Connection[Any], claimer: Connection[Any]) -> None:
    app.execute(ADD, (1, 3))
    mark = LowWater()
    _claim(claimer, mark)
    _claim(claimer, mark)
    mark.advance(claimer)
    assert claimer.execute("SELECT pg_current_xact_id_if_assigned()").fetchone() == (None,)


def test_a_sequence_that_went_back_takes_the_mark_along(app: Connection[Any], claimer: Connection[Any]) -> None:
    mark = LowWater()
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
    mark, claimed, deadline = LowWater(), 0, time.monotonic() + 20
    while any(writer.is_alive() for writer in writers):
        assert time.monotonic() < deadline
        claimed += len(_claim(claimer, mark))
    claimed += len(_claim(claimer, mark))
    written = claimer.execute("SELECT count(*) FROM shop.staff").fetchone()
    assert written is not None
    assert claimed == written[0] > 300
    assert claimer.execute("SELECT count(*) FROM tidings.outbox").fetchone() == (0,)
    assert mark.mark > 0
