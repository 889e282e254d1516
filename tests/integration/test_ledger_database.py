"""The ledger's connections: transactions that are sent in one go, and connections that are gone."""

import psycopg
import pytest

from runtime.ledger.database import BY_KEY, Ledger


def slots(ledger: Ledger) -> int:
    with ledger.connection() as conn:
        row = conn.execute("SELECT count(*) FROM tidings.slot").fetchone()
    assert row is not None
    return int(row[0])


def test_what_travels_together_is_one_transaction(ledger: Ledger) -> None:
    with ledger.pipelined() as conn:
        conn.execute("INSERT INTO tidings.slot VALUES (1, 1, now())")
        conn.execute("INSERT INTO tidings.slot VALUES (1, 2, now())")
    assert slots(ledger) == 2


def test_an_error_of_ours_undoes_it_and_the_connection_goes_on(ledger: Ledger) -> None:
    def fail() -> None:
        with ledger.pipelined() as conn:
            conn.execute("INSERT INTO tidings.slot VALUES (1, 1, now())")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert slots(ledger) == 0


def test_an_error_that_nobody_waited_for_shows_at_the_end_and_undoes_it(ledger: Ledger) -> None:
    def fail() -> None:
        with ledger.pipelined() as conn:
            conn.execute("INSERT INTO tidings.slot VALUES (1, 1, now())")
            conn.execute("SELECT 1 / 0")
            conn.execute("INSERT INTO tidings.slot VALUES (1, 2, now())")

    with pytest.raises(psycopg.errors.DivisionByZero):
        fail()
    assert slots(ledger) == 0


def test_a_savepoint_works_inside(ledger: Ledger) -> None:
    with ledger.pipelined() as conn:
        conn.execute("INSERT INTO tidings.slot VALUES (1, 1, now())")
        with pytest.raises(psycopg.errors.DivisionByZero), conn.transaction():
            conn.execute("SELECT 1 / 0")
        conn.execute("INSERT INTO tidings.slot VALUES (1, 2, now())")
    assert slots(ledger) == 2


def test_an_error_of_postgres_undoes_what_may_be_committed_as_it_is(ledger: Ledger) -> None:
    def fail() -> None:
        with ledger.together() as conn:
            conn.execute("INSERT INTO tidings.slot VALUES (1, 1, now())")
            conn.execute("SELECT 1 / 0")

    with pytest.raises(psycopg.errors.DivisionByZero):
        fail()
    assert slots(ledger) == 0


def test_a_connection_that_the_server_has_closed_is_not_handed_out(database: str) -> None:
    with Ledger(database, max_size=2) as ledger, psycopg.connect(database, autocommit=True) as admin:
        with ledger.connection() as conn:
            pid = conn.info.backend_pid
        admin.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))
        with ledger.connection() as conn:
            assert conn.info.backend_pid != pid
            conn.execute("SELECT")


def test_a_process_that_goes_by_keys_makes_no_plan_that_reads_a_whole_table(database: str) -> None:
    with Ledger(database, settings=BY_KEY) as ledger, ledger.connection() as conn:
        plan = conn.execute("EXPLAIN SELECT * FROM tidings.run WHERE project_id = 1 AND id = ANY('{1,2}')").fetchall()
    assert plan[0][0].startswith("Index Scan")
