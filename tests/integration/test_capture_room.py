"""Backpressure: what hooks do when nobody claims, what health says before and after, and how it ends."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import Connection

from runtime.capture.health import capture_health
from runtime.capture.outbox import lock_batch, remove
from runtime.capture.room import Room
from tests.hooks import LowWaterByHand, count, hook, keys

ADD = "INSERT INTO shop.staff SELECT i, i || '@x.test', 'support' FROM generate_series(%s::int, %s::int) AS i"


class _Leader:
    """The part of a leader that claims and keeps room."""

    def __init__(self, conn: Connection[Any]) -> None:
        self._conn = conn
        self._mark = LowWaterByHand()
        self._room = Room(1, now=lambda: self.time)
        self.time = 0.0

    def keep_room(self) -> None:
        """Let a minute pass and move the bound, if that is due."""
        self.time += 60
        with self._conn.transaction():
            self._room.keep(self._conn, self._mark.advance(self._conn))

    def claim(self, limit: int) -> None:
        """Claim so many changes."""
        with self._conn.transaction():
            bound = self._mark.advance(self._conn)
            remove(self._conn, [captured.id for captured in lock_batch(self._conn, limit=limit, low_water=bound)])


@pytest.fixture
def leader(app: Connection[Any], database: str) -> Iterator[_Leader]:
    """A leader in a project where ten changes of staff may wait."""
    app.execute("UPDATE tidings.project SET outbox_limit = 10")
    hook(app, "shop.staff", "email")
    with psycopg.connect(database, autocommit=True) as conn:
        yield _Leader(conn)


def _captured(conn: Connection[Any]) -> int:
    return int(conn.execute("SELECT count(*) FROM tidings.outbox").fetchall()[0][0])


def test_when_nobody_claims_hooks_stop_at_the_limit_and_count_what_they_let_go(
    app: Connection[Any], leader: _Leader
) -> None:
    app.execute(ADD, (1, 4))
    assert not capture_health(app, 1).red
    app.execute(ADD, (5, 5))
    [reason] = capture_health(app, 1).reasons
    assert reason.startswith(
        "5 captured changes wait (0 MB); from 10 on they are only counted. Is a dispatcher running"
    )
    app.execute(ADD, (6, 10))
    app.execute(ADD, (11, 13))
    assert (_captured(app), keys(app), count(app, "missed_1")) == (10, [], 3)
    full, missed = sorted(capture_health(app, 1).reasons, reverse=True)
    assert full.startswith("The outbox is full: about 10 captured changes wait (0 MB). Further ones are only counted")
    assert missed.startswith("3 changed row(s) of shop.staff were missed")
    leader.keep_room()
    app.execute(ADD, (14, 14))
    assert count(app, "missed_1") == 4


def test_hooks_go_on_when_half_is_claimed(app: Connection[Any], leader: _Leader) -> None:
    for number in range(1, 13):
        app.execute(ADD, (number, number))
    leader.claim(4)
    leader.keep_room()
    app.execute(ADD, (13, 13))
    assert (_captured(app), count(app, "missed_1")) == (6, 3)
    leader.claim(1)
    leader.keep_room()
    for number in range(14, 22):
        app.execute(ADD, (number, number))
    assert (_captured(app), count(app, "missed_1")) == (10, 6)


def test_while_changes_are_claimed_the_bound_moves_along(app: Connection[Any], leader: _Leader) -> None:
    for number in range(1, 40):
        app.execute(ADD, (number, number))
        leader.claim(9)
        leader.keep_room()
    assert count(app, "missed_1") == 0


def test_one_change_that_stays_does_not_make_the_outbox_look_full(app: Connection[Any], leader: _Leader) -> None:
    app.execute(ADD, (1, 1))
    for number in range(2, 30):
        app.execute(ADD, (number, number))
        app.execute("DELETE FROM tidings.outbox WHERE id > 1")
        leader.keep_room()
    assert count(app, "missed_1") == 0
    assert not capture_health(app, 1).red


def test_what_waits_is_counted_every_now_and_then_only(app: Connection[Any], leader: _Leader) -> None:
    app.execute(ADD, (1, 8))
    leader.keep_room()
    leader.time -= 55
    app.execute("DELETE FROM tidings.outbox WHERE id > 1")
    leader.keep_room()
    assert count(app, "bound_1") == 10
    leader.keep_room()
    assert count(app, "bound_1") == 17


def test_the_limit_can_be_changed_and_taken_away(app: Connection[Any], leader: _Leader) -> None:
    app.execute("UPDATE tidings.project SET outbox_limit = 4")
    leader.keep_room()
    for number in range(1, 7):
        app.execute(ADD, (number, number))
    assert (_captured(app), count(app, "missed_1")) == (4, 2)
    app.execute("UPDATE tidings.project SET outbox_limit = NULL")
    leader.keep_room()
    app.execute(ADD, (7, 40))
    assert (_captured(app), count(app, "missed_1")) == (38, 2)
    assert all("captured changes wait" not in reason for reason in capture_health(app, 1).reasons)


def test_a_table_of_keys_that_has_grown_too_large_leaves_the_counter(
    app: Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.capture.hook._KEY_BYTES", 8192)
    hook(app, "shop.staff", "email")
    app.execute("ALTER TABLE shop.staff RENAME email TO mail")
    app.execute(ADD, (1, 3))
    app.execute(ADD, (4, 5))
    assert (len(keys(app)), count(app, "missed_1")) == (3, 2)
