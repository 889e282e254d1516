"""Owed work: leased to one at a time, fenced against whoever lost it, found again by the sweeper."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from psycopg import Connection

from runtime.ledger.work import LeaseLost, Work, add, due, finish, keep, lease, next_due, nudge, postpone

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
EXPIRE = "UPDATE tidings.work SET lease_until = clock_timestamp() - interval '1 second'"


@pytest.fixture
def one(app: Connection[Any]) -> int:
    """A piece of work that is due at noon."""
    return add(app, 1, "advance", [[3, 5]], NOON)[0]


def owed(app: Connection[Any]) -> list[int]:
    return [row[0] for row in app.execute("SELECT id FROM tidings.work ORDER BY id")]


def leased(app: Connection[Any], work_id: int) -> Work:
    work = lease(app, 1, work_id, MINUTE)
    assert work is not None
    return work


def test_added_work_has_ids_in_the_order_of_its_chunks(app: Connection[Any]) -> None:
    chunks = [[5, 6], [4], [9, 8, 7]]
    ids = add(app, 1, "expand", chunks, NOON, slot=NOON)
    rows = app.execute("SELECT id, kind, ids, slot, due_at, attempts FROM tidings.work ORDER BY id").fetchall()
    assert rows == [(work_id, "expand", chunk, NOON, NOON, 0) for work_id, chunk in zip(ids, chunks, strict=True)]
    assert add(app, 1, "advance", [], NOON) == []


def test_one_worker_has_it_until_the_lease_runs_out(app: Connection[Any], one: int) -> None:
    assert leased(app, one) == Work(one, "advance", (3, 5), None, 1)
    assert lease(app, 1, one, MINUTE) is None
    app.execute(EXPIRE)
    assert leased(app, one).attempts == 2


def test_work_of_another_project_or_that_is_done_can_not_be_leased(app: Connection[Any], one: int) -> None:
    assert lease(app, 2, one, MINUTE) is None
    finish(app, 1, leased(app, one))
    assert lease(app, 1, one, MINUTE) is None
    assert owed(app) == []


def test_who_lost_the_lease_can_write_nothing(app: Connection[Any], one: int) -> None:
    mine = leased(app, one)
    app.execute(EXPIRE)
    theirs = leased(app, one)
    with pytest.raises(LeaseLost, match=f"Work {one} was taken over"):
        finish(app, 1, mine)
    with pytest.raises(LeaseLost):
        keep(app, 1, mine, MINUTE)
    with pytest.raises(LeaseLost):
        postpone(app, 1, mine, NOON)
    finish(app, 1, theirs)
    with pytest.raises(LeaseLost):
        finish(app, 1, theirs)


def test_a_lease_that_ran_out_still_counts_as_long_as_nobody_took_over(app: Connection[Any], one: int) -> None:
    mine = leased(app, one)
    app.execute(EXPIRE)
    keep(app, 1, mine, MINUTE)
    assert lease(app, 1, one, MINUTE) is None
    keep(app, 1, mine, timedelta())
    [left] = app.execute("SELECT lease_until > clock_timestamp() + interval '50 seconds' FROM tidings.work").fetchall()
    assert left == (True,), "keeping never shortens a lease"


def test_postponed_work_is_free_and_due_later(app: Connection[Any], one: int) -> None:
    postpone(app, 1, leased(app, one), NOON + timedelta(hours=1))
    assert due(app, 1, now=NOON, limit=9) == []
    assert next_due(app, 1, now=NOON) == NOON + timedelta(hours=1)
    assert due(app, 1, now=NOON + timedelta(hours=1), limit=9) == [one]
    assert next_due(app, 1, now=NOON + timedelta(hours=1)) is None
    assert leased(app, one).attempts == 2


def test_due_work_comes_in_the_order_in_which_it_became_due(app: Connection[Any]) -> None:
    late, early, held = (add(app, 1, "advance", [[1]], NOON - timedelta(hours=n))[0] for n in (1, 2, 3))
    leased(app, held)
    assert due(app, 1, now=NOON, limit=9) == [early, late]
    assert due(app, 1, now=NOON, limit=1) == [early]
    app.execute(EXPIRE + f" WHERE id = {held}")
    assert due(app, 1, now=NOON, limit=9) == [held, early, late]


def test_a_nudge_is_not_repeated_before_it_had_time_to_be_heard(app: Connection[Any], one: int) -> None:
    given: dict[str, Any] = {"now": NOON, "limit": 9, "patience": MINUTE}
    assert nudge(app, 1, **given) == [], "whoever added it nudges"
    app.execute("UPDATE tidings.work SET nudged_at = nudged_at - interval '61 seconds'")
    assert nudge(app, 1, **{**given, "now": NOON - MINUTE}) == []
    assert nudge(app, 1, **given) == [one]
    assert nudge(app, 1, **given) == []
    postpone(app, 1, leased(app, one), NOON)
    assert nudge(app, 1, **given) == [one], "it was given back"


def test_nothing_is_nudged_for_that_somebody_does(app: Connection[Any], one: int) -> None:
    app.execute("UPDATE tidings.work SET nudged_at = NULL")
    leased(app, one)
    assert nudge(app, 1, now=NOON, limit=9, patience=MINUTE) == []
    app.execute(EXPIRE)
    assert nudge(app, 1, now=NOON, limit=9, patience=MINUTE) == [one]
