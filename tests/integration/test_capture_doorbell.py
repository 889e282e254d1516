"""The doorbell rings for a sleeper and for nobody else, and no change is slept through."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from psycopg import Connection

from runtime.capture.doorbell import Doorbell
from runtime.capture.hook import BELL_SPACE
from tests.hooks import events, hook

ADD = "INSERT INTO shop.staff VALUES (%s, 'a@x.test', 'support')"
LONG, SHORT = timedelta(seconds=5), timedelta(milliseconds=60)


@pytest.fixture
def watched(app: Connection[Any]) -> Connection[Any]:
    hook(app, "shop.staff", "email")
    return app


@pytest.fixture
def bell(watched: Connection[Any]) -> Iterator[Doorbell]:
    with Doorbell(_url(watched), 1) as bell:
        yield bell


def _url(conn: Connection[Any]) -> str:
    return psycopg.conninfo.make_conninfo(conn.info.dsn, password=conn.info.password)


@pytest.fixture
def listener(database: str) -> Iterator[Connection[Any]]:
    """Somebody else who hears every ring."""
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("LISTEN tidings_1")
        yield conn


def _rings(listener: Connection[Any]) -> int:
    return len(list(listener.notifies(timeout=0.05)))


def _asleep(conn: Connection[Any]) -> bool:
    row = conn.execute(
        "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ExclusiveLock' AND classid = %s"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))",
        (BELL_SPACE,),
    ).fetchone()
    return bool(row and row[0])


@contextmanager
def _waiting(bell: Doorbell, conn: Connection[Any], *, asleep: bool = True) -> Iterator[list[float]]:
    """Let the bell wait in a thread; the list holds after how many seconds it returned, once it has."""
    took: list[float] = []

    def wait() -> None:
        started = time.monotonic()
        bell.wait(LONG)
        took.append(time.monotonic() - started)

    thread = threading.Thread(target=wait)
    thread.start()
    deadline = time.monotonic() + 5
    while asleep and not _asleep(conn) and time.monotonic() < deadline:
        pass
    yield took
    thread.join(6)
    assert not thread.is_alive()


def test_a_change_wakes_the_sleeper(bell: Doorbell, watched: Connection[Any], listener: Connection[Any]) -> None:
    with _waiting(bell, watched) as took:
        watched.execute(ADD, (1,))
    assert took[0] < 1
    assert _rings(listener) == 1
    assert not _asleep(watched)


def test_nobody_rings_while_the_dispatcher_is_awake_or_away(
    bell: Doorbell, watched: Connection[Any], listener: Connection[Any]
) -> None:
    watched.execute(ADD, (1,))
    bell.wait(LONG)
    watched.execute(ADD, (2,))
    bell.close()
    watched.execute(ADD, (3,))
    assert _rings(listener) == 0


def test_a_change_that_matches_nothing_does_not_ring(
    bell: Doorbell, watched: Connection[Any], listener: Connection[Any]
) -> None:
    hook(watched, "shop.staff", "email", prefilter="n.\"role\" = 'finance'", ops=("insert",))
    with _waiting(bell, watched) as took:
        watched.execute(ADD, (1,))
        assert _rings(listener) == 0
        watched.execute("INSERT INTO shop.staff VALUES (2, 'a@x.test', 'finance')")
    assert took[0] < 3


def test_what_was_committed_just_before_ends_the_wait_at_once_and_only_once(
    bell: Doorbell, watched: Connection[Any]
) -> None:
    watched.execute(ADD, (1,))
    started = time.monotonic()
    bell.wait(LONG)
    assert time.monotonic() - started < 1
    bell.wait(SHORT)  # still unclaimed: whoever can't claim it must not spin
    assert time.monotonic() - started >= SHORT.total_seconds()
    watched.execute(ADD, (2,))
    bell.wait(LONG)
    events(watched)
    bell.wait(SHORT)
    assert time.monotonic() - started < 3


def test_a_commit_after_falling_asleep_of_a_write_from_before_is_not_slept_through(
    bell: Doorbell, watched: Connection[Any], database: str, listener: Connection[Any]
) -> None:
    with psycopg.connect(database) as late:
        late.execute(ADD, (1,))
        with _waiting(bell, watched, asleep=False) as took:
            assert _rings(listener) == 0
            assert not took
            assert not _asleep(watched)
            late.commit()
    assert took[0] < 1


def test_a_long_transaction_does_not_silence_the_others(
    bell: Doorbell, watched: Connection[Any], database: str
) -> None:
    with psycopg.connect(database) as long:
        long.execute(ADD, (1,))
        with _waiting(bell, watched, asleep=False) as took:
            watched.execute(ADD, (2,))
        assert took[0] < 1
        events(watched)
    with _waiting(bell, watched) as took, psycopg.connect(database) as long:
        long.execute(ADD, (3,))  # it would ring, but does not commit
        watched.execute(ADD, (4,))
        long.rollback()
    assert took[0] < 1


def test_a_ring_from_before_does_not_wake_anybody_later(
    bell: Doorbell, watched: Connection[Any], database: str
) -> None:
    with _waiting(bell, watched), psycopg.connect(database) as second:
        second.execute(ADD, (1,))  # finds it asleep as well
        watched.execute(ADD, (2,))
        second.commit()
    events(watched)
    started = time.monotonic()
    bell.wait(SHORT)
    assert time.monotonic() - started >= SHORT.total_seconds()


def test_projects_do_not_wake_each_other(watched: Connection[Any], database: str) -> None:
    with Doorbell(database, 2) as other:
        started = time.monotonic()
        other.wait(SHORT)
        with _waiting(other, watched) as took:
            watched.execute(ADD, (1,))
            assert not took
            watched.execute("SELECT pg_notify('tidings_2', '')")
        assert time.monotonic() - started < 5


def test_a_bell_whose_connection_is_lost_says_so(bell: Doorbell, watched: Connection[Any]) -> None:
    with pytest.raises(psycopg.OperationalError):
        _wait_and_lose(bell, watched)


def _wait_and_lose(bell: Doorbell, conn: Connection[Any]) -> None:
    conn.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'")
    bell.wait(LONG)
