"""How far a table is complete: a reader by ids overtakes no commit that is late."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import Connection

from runtime.ledger.settled import Settled

REPORT = "INSERT INTO tidings.dead_letter (project_id, stage, error) VALUES (1, 'match', 'x') RETURNING id"


@pytest.fixture
def late(database: str) -> Iterator[Connection[Any]]:
    """A transaction that commits when the test says so."""
    with psycopg.connect(database) as connection:
        yield connection


def _write(conn: Connection[Any]) -> int:
    return int(conn.execute(REPORT).fetchall()[0][0])


def test_a_quiet_table_is_complete(app: Connection[Any]) -> None:
    settled = Settled()
    assert settled.up_to(app, "dead_letter") == 0
    newest = _write(app)
    assert settled.up_to(app, "dead_letter") == newest


def test_an_id_drawn_before_a_late_commit_is_waited_for(app: Connection[Any], late: Connection[Any]) -> None:
    settled = Settled()
    before = _write(app)
    assert settled.up_to(app, "dead_letter") == before
    missing = _write(late)
    newest = _write(app)
    for _ in range(3):
        assert settled.up_to(app, "dead_letter") < missing < newest
    late.commit()
    assert settled.up_to(app, "dead_letter") >= newest


def test_who_keeps_writing_holds_up_only_what_came_after(app: Connection[Any], late: Connection[Any]) -> None:
    settled = Settled()
    first = _write(late)
    settled.up_to(app, "dead_letter")
    late.commit()
    _write(late)
    assert settled.up_to(app, "dead_letter") == first
    late.commit()


def test_a_long_transaction_elsewhere_holds_nothing_up(app: Connection[Any], late: Connection[Any]) -> None:
    late.execute("INSERT INTO shop.staff VALUES (1, 'a@x.test', 'support')")
    newest = _write(app)
    assert Settled().up_to(app, "dead_letter") == newest


def test_a_transaction_that_rolls_back_is_over(app: Connection[Any], late: Connection[Any]) -> None:
    settled = Settled()
    drawn = _write(late)
    assert settled.up_to(app, "dead_letter") < drawn
    late.rollback()
    assert settled.up_to(app, "dead_letter") == drawn


def test_a_server_that_counts_on_from_an_older_id_is_believed(app: Connection[Any]) -> None:
    settled = Settled()
    for _ in range(3):
        _write(app)
    assert settled.up_to(app, "dead_letter") == 3
    app.execute("ALTER SEQUENCE tidings.dead_letter_id_seq RESTART WITH 2")
    _ = app.execute("SELECT nextval('tidings.dead_letter_id_seq')")
    assert settled.up_to(app, "dead_letter") == 2
