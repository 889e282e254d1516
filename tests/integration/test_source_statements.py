from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from psycopg import Connection

from runtime.source.batch import Batch
from runtime.source.describe import describe, estimated_cost
from runtime.source.reader import Source
from runtime.source.statements import RowCapExceeded, holds, instants, run_statement, stream
from runtime.spec.compiled import Statement

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
CUSTOMERS = Statement(
    sql="""
SELECT run.id AS run_id, q.*
FROM unnest(%(ids)s::bigint[], %(new)s::jsonb[]) AS run(id, data)
CROSS JOIN LATERAL jsonb_populate_record(NULL::shop.orders, run.data) AS new
CROSS JOIN LATERAL (SELECT * FROM (
    SELECT c.email, c.plan, %(now)s - c.created_at AS age FROM shop.customers c
    WHERE c.id = new.customer_id AND c.email LIKE '%%@example.org' ORDER BY c.email
) a LIMIT %(cap)s + 1) q
"""
)


@pytest.fixture
def source(database: str) -> Iterator[Source]:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(
            "INSERT INTO shop.customers (id, email, created_at) VALUES (1, 'ada@example.org', '2026-05-30 12:00+00'),"
            " (2, 'bob@example.org', '2026-06-01 12:00+00'), (3, 'eve@example.com', '2026-06-01 12:00+00')"
        )
    with Source(database) as source:
        yield source


def _batch(*customers: int) -> Batch:
    return Batch(
        ids=[1000 + customer for customer in customers],
        at=[NOW] * len(customers),
        new=[f'{{"customer_id": {customer}}}' for customer in customers],
    )


def test_one_statement_answers_for_every_run_and_a_run_without_rows_is_absent(source: Source) -> None:
    with source.read() as conn:
        rows = run_statement(conn, CUSTOMERS, _batch(1, 2, 3, 9), NOW)
    assert rows == {
        1001: [{"email": "ada@example.org", "plan": "free", "age": "2 days"}],
        1002: [{"email": "bob@example.org", "plan": "free", "age": "00:00:00"}],
    }
    with source.read() as conn:
        assert run_statement(conn, CUSTOMERS, Batch(ids=[], at=[]), NOW) == {}


def test_a_run_over_the_cap_is_an_error_that_names_it_and_the_rest_can_go_on(source: Source) -> None:
    many = Statement(
        sql="SELECT run.id AS run_id, g.n FROM unnest(%(ids)s::bigint[]) AS run(id), "
        "LATERAL (SELECT generate_series(1, CASE run.id WHEN 7 THEN 9 ELSE 3 END) AS n LIMIT %(cap)s + 1) g"
    )
    batch = Batch(ids=[6, 7, 8], at=[NOW] * 3, context=["{}"] * 3)
    with source.read() as conn:
        with pytest.raises(RowCapExceeded, match=r"1 run\(s\) got more than 3 rows\. Add a condition") as raised:
            run_statement(conn, many, batch, NOW, cap=3)
        assert raised.value.run_ids == (7,)
        rows = run_statement(conn, many, batch.only({6, 8}), NOW, cap=3)
    assert {run: len(found) for run, found in rows.items()} == {6: 3, 8: 3}


def test_a_stream_gives_the_rows_of_a_run_in_their_order_as_often_as_one_asks(source: Source) -> None:
    many = Statement(
        sql="SELECT run.id AS run_id, q.* FROM unnest(%(ids)s::bigint[]) AS run(id) CROSS JOIN LATERAL"
        " (SELECT * FROM (SELECT n, n::numeric / 4 AS quarter, n || '%%' AS text FROM generate_series(1, 4500) n) a"
        " LIMIT %(cap)s + 1) q"
    )
    batch = Batch(ids=[7], at=[NOW])
    with source.read() as conn:
        rows = stream(conn, many, batch, NOW, cap=4_500)
        again = stream(conn, many, batch, NOW, cap=10_000)
        assert len(rows) == len(again) == 4_500
        first = next(iter(rows))
        for found in (list(rows), list(again), list(rows)):
            assert found == run_statement(conn, many, batch, NOW, cap=4_500)[7]
        assert first == {"n": 1, "quarter": Decimal("0.25"), "text": "1%"}
        with pytest.raises(RowCapExceeded):
            stream(conn, many, batch, NOW, cap=4_499)


def test_a_row_that_fails_does_so_when_a_stream_is_opened(source: Source) -> None:
    bad = Statement(sql="SELECT 7::int8 AS run_id, 1 / (3000 - n) AS x FROM generate_series(1, 3500) n")
    with source.read() as conn, pytest.raises(psycopg.errors.DivisionByZero):
        stream(conn, bad, Batch(ids=[7], at=[NOW]), NOW, cap=10_000)


def test_conditions_are_true_or_false_and_null_is_false(source: Source) -> None:
    condition = Statement(
        sql="SELECT run.id AS run_id, (run.data->>'n')::int > 1 AS holds "
        "FROM unnest(%(ids)s::bigint[], %(new)s::jsonb[]) AS run(id, data) WHERE run.id <> 4"
    )
    batch = Batch(ids=[1, 2, 3, 4], at=[NOW] * 4, new=['{"n": 1}', '{"n": 2}', None, '{"n": 2}'])
    with source.read() as conn:
        assert holds(conn, condition, batch, NOW) == {1: False, 2: True, 3: False, 4: False}


def test_instants_are_aware_and_never_out_of_python_s_range(source: Source) -> None:
    until = Statement(
        sql="SELECT run.id AS run_id, CASE run.id WHEN 1 THEN %(now)s + interval '1 day' WHEN 2 THEN 'infinity' "
        "WHEN 3 THEN '-infinity' END::timestamptz AS at FROM unnest(%(ids)s::bigint[]) AS run(id)"
    )
    with source.read() as conn:
        found = instants(conn, until, Batch(ids=[1, 2, 3, 4], at=[NOW] * 4), NOW)
    assert found == {
        1: NOW + timedelta(days=1),
        2: datetime.max.replace(tzinfo=UTC),
        3: datetime.min.replace(tzinfo=UTC),
        4: None,
    }


def test_values_are_what_json_and_templates_can_hold(source: Source) -> None:
    statement = Statement(
        sql="SELECT 1 AS run_id, 1.50::numeric AS n, date '2026-06-01' AS d, date 'infinity' AS never, "
        "timestamp '2026-06-01 12:00' AS local, timestamp '-infinity' AS ever, "
        "interval '1 mon 3 days' AS i, time '09:00' AS t, "
        "'7f1a0000-0000-0000-0000-000000000000'::uuid AS u, '\\x01ff'::bytea AS b, inet '10.0.0.1' AS host, "
        "'[1,5)'::int4range AS r, ROW(1, 'a') AS record, '{\"a\": [1.5, null]}'::jsonb AS j, "
        "ARRAY[interval '1 mon'] AS list, 'pro'::shop.plan AS plan"
    )
    with source.read() as conn:
        [row] = run_statement(conn, statement, Batch(ids=[1], at=[NOW]), NOW)[1]
    assert row == {
        "n": Decimal("1.50"),
        "d": date(2026, 6, 1),
        "never": date.max,
        "local": NOW,
        "ever": datetime.min.replace(tzinfo=UTC),
        "i": "1 mon 3 days",
        "t": "09:00:00",
        "u": "7f1a0000-0000-0000-0000-000000000000",
        "b": "\\x01ff",
        "host": "10.0.0.1",
        "r": "[1,5)",
        "record": "(1,a)",
        "j": {"a": [1.5, None]},
        "list": ["1 mon"],
        "plan": "pro",
    }


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        ("UPDATE shop.staff SET role = 'support'", psycopg.errors.ReadOnlySqlTransaction),
        ("SELECT nextval('tidings.outbox_id_seq')", psycopg.errors.ReadOnlySqlTransaction),
        ("SET transaction_read_only = off", psycopg.errors.ActiveSqlTransaction),
        ("SELECT pg_sleep(5)", psycopg.errors.QueryCanceled),
    ],
)
def test_reading_can_neither_write_nor_take_long(database: str, statement: str, error: type[psycopg.Error]) -> None:
    with Source(database, timeout=timedelta(milliseconds=200)) as source, source.read() as conn, pytest.raises(error):
        conn.execute(statement)


def test_nothing_that_was_set_while_reading_outlives_it(database: str) -> None:
    with Source(database, max_size=1) as source:
        with source.read() as conn:
            conn.execute("SELECT set_config('search_path', 'shop', false), set_config('statement_timeout', '0', false)")
            conn.execute("SELECT set_config('datestyle', 'German', false)")
        with source.read() as conn:
            shown = conn.execute(
                "SELECT current_setting('search_path'), current_setting('statement_timeout'),"
                " current_setting('TimeZone'), current_setting('transaction_read_only'), date '2026-06-01'::text"
            ).fetchone()
    assert shown == ("pg_catalog, public", "10s", "UTC", "on", "2026-06-01")


def test_a_lock_on_a_table_stops_a_reader_for_a_second_only(database: str, source: Source) -> None:
    with psycopg.connect(database) as other:
        other.execute("LOCK shop.staff")
        with source.read() as conn, pytest.raises(psycopg.errors.LockNotAvailable):
            conn.execute("SELECT FROM shop.staff")


def test_describe_names_the_result_s_types_without_running_it(source: Source) -> None:
    with source.read() as conn:
        columns = describe(conn, CUSTOMERS.sql)
        assert [(c.name, c.type, c.base, c.labels) for c in columns] == [
            ("run_id", "bigint", "bigint", ()),
            ("email", "text", "text", ()),
            ("plan", "shop.plan", "text", ("free", "plus", "pro")),
            ("age", "interval", "interval", ()),
        ]
        assert describe(conn, "SELECT pg_sleep(60), 5 %% 3 AS rest")[1].type == "integer"


def test_describe_raises_what_postgres_says_and_leaves_the_transaction_usable(source: Source) -> None:
    with source.read() as conn:
        with pytest.raises(psycopg.errors.UndefinedColumn, match=r"c\.mail"):
            describe(conn, "SELECT c.mail FROM shop.customers c")
        assert describe(conn, "SELECT %(now)s AS now")[0].type == "timestamp with time zone"
        assert conn.execute("SHOW search_path").fetchone() == ("pg_catalog, public",)


def test_the_estimated_cost_grows_with_the_work(source: Source) -> None:
    with source.read() as conn:
        small = estimated_cost(conn, CUSTOMERS.sql)
        large = estimated_cost(conn, "SELECT FROM generate_series(1, 1000000) a, generate_series(1, 1000) b")
        assert 0 < small < 1000 < large
        with pytest.raises(psycopg.errors.UndefinedTable):
            estimated_cost(conn, "SELECT FROM shop.nothing")
        assert estimated_cost(conn, "SELECT 1") < 1


def test_describe_works_outside_a_transaction_too(app: Connection[Any]) -> None:
    assert describe(app, "SELECT 'a' AS a")[0].type == "text"
    assert estimated_cost(app, "SELECT %(cap)s + 1") < 1
