"""The hook's prefilter is never false where the exact condition is true: random conditions, random rows, NULLs."""

import json
import re
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import Connection

from runtime.postgres.server import PostgresServer
from runtime.source.catalog import read_catalog
from runtime.spec.match import build_match
from runtime.spec.model import ChangeTrigger
from runtime.spec.schema import Catalog, Table
from runtime.spec.survey import survey
from runtime.spec.yaml import parse_spec
from tests.spec_catalog import shop

DDL = """
    CREATE SCHEMA lab;
    CREATE TYPE lab.mood AS ENUM ('low', 'fine', 'high');
    CREATE DOMAIN lab.code AS text;
    CREATE TABLE lab.sample (
        a int, b bigint, n numeric(6,2), r real, t text, v varchar(5), c char(3), k lab.code, f boolean, e lab.mood,
        d date, z timestamptz, s timestamp, u uuid, j jsonb, x json
    );
"""
ROWS: dict[str, list[Any]] = {
    "a": [None, 0, 1, 2],
    "b": [None, 1, 2, 9_000_000_000],
    "n": [None, "1.50", "2", "NaN"],
    "r": [None, 0.1, 1.5],
    "t": [None, "x", "X", "", "a%b"],
    "v": [None, "x", "xy"],
    "c": [None, "ab", "abc"],
    "k": [None, "x", "y"],
    "f": [None, True, False],
    "e": [None, "low", "fine", "high"],
    "d": [None, "2026-01-01", "2026-06-01", "infinity"],
    "z": [None, "2026-01-01T00:00:00Z", "2025-12-31T23:30:00Z"],
    "s": [None, "2026-01-01T00:00:00", "2026-01-01T10:00:00.123456"],
    "u": [None, "11111111-1111-1111-1111-111111111111"],
    "j": [None, {}, {"k": "x"}],
    "x": [None, {}, {"k": "x"}],
}
ATOMS = [
    *[
        "a = 1",
        "1 = a",
        "a <> b",
        "a < 2",
        "2 <= a",
        "a IN (1, 2)",
        "a NOT IN (0, 2)",
        "a BETWEEN 0 AND 1",
        "a IS NULL",
    ],
    *[
        "a IS NOT NULL",
        "a + 1 > b",
        "a IS DISTINCT FROM b",
        "a IS NOT DISTINCT FROM 1",
        "a = NULL",
        "a = -1",
        "n = 1.5",
    ],
    *[
        "n > a",
        "n < 'NaN'",
        "r > 0.1",
        "r = 1.5",
        "coalesce(a, 0) = 0",
        "nullif(a, 1) IS NULL",
        "a % 2 = 1",
        "abs(a) = 1",
    ],
    *["t = 'x'", "t <> 'x'", "t < 'y'", "t LIKE 'x%'", "t LIKE '%\\%%'", "lower(t) = 'x'", "t = v", "t = t", "v = 'x'"],
    *["v::text = 'x'", "t = 'x'::text", "c = 'ab'", "c = 'ab '", "k = 'x'", "k <> 'x'", "f", "f = true", "f IS TRUE"],
    *[
        "f IS NOT FALSE",
        "f IS UNKNOWN",
        "e = 'low'",
        "e < 'high'",
        "e IN ('low', 'fine')",
        "e <> 'fine'",
        "e = e",
        "true",
    ],
    *[
        "d = '2026-01-01'",
        "d < '2026-06-01'",
        "d = '01/01/2026'",
        "z = '2026-01-01T00:00:00Z'",
        "z >= '2026-01-01'",
        "false",
    ],
    *[
        "z < '2026-01-01 00:00:00+00:00'",
        "s < '2026-01-01 05:00'",
        "s > d",
        "u = '11111111-1111-1111-1111-111111111111'",
    ],
    *[
        "j = '{}'",
        "j ->> 'k' = 'x'",
        "j IS NOT NULL",
        "x ->> 'k' = 'x'",
        "x IS NULL",
        "(a, b) = (1, 2)",
        "a > b",
        "b > a",
    ],
    *["CASE WHEN f THEN a = 1 ELSE t = 'x' END", "(a = 1) = (b = 1)", "NULL"],
]


def conditions() -> st.SearchStrategy[str]:
    """Conditions over bare columns: safe and unsafe parts under AND, OR and NOT."""
    return st.recursive(
        st.sampled_from(ATOMS).map(lambda atom: f"({atom})"),
        lambda inner: st.one_of(
            st.tuples(inner, inner).map(lambda pair: f"({pair[0]} AND {pair[1]})"),
            st.tuples(inner, inner).map(lambda pair: f"({pair[0]} OR {pair[1]})"),
            inner.map(lambda one: f"(NOT {one})"),
        ),
        max_leaves=6,
    )


ROW = st.fixed_dictionaries({name: st.sampled_from(values) for name, values in ROWS.items()})
EVENTS = st.lists(st.tuples(st.sampled_from(["insert", "update", "delete"]), ROW, ROW), min_size=1, max_size=12)
MANY = settings(
    max_examples=250,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


@pytest.fixture(scope="module")
def lab(server: PostgresServer) -> Iterator[Connection[Any]]:
    """A database with a table of many types; sessions far from UTC, as the application's may be."""
    with psycopg.connect(server.url, autocommit=True) as admin:
        admin.execute("DROP DATABASE IF EXISTS lab")
        admin.execute("CREATE DATABASE lab")
    with psycopg.connect(server.database_url("lab"), autocommit=True) as connection:
        connection.execute(DDL)
        yield connection
    with psycopg.connect(server.url, autocommit=True) as admin:
        admin.execute("DROP DATABASE lab")


@pytest.fixture(scope="module")
def sample(lab: Connection[Any]) -> Table:
    """The table, as the catalog shows it."""
    return next(table for table in read_catalog(lab).tables if table.relation == "lab.sample")


def missed(lab: Connection[Any], table: Table, trigger: dict[str, Any], events: list[Any]) -> list[Any]:
    """Return the events that the exact condition wants and the prefilter drops."""
    spec = {
        "workflow": "test",
        "about": "x",
        "trigger": {"change": table.relation, **trigger},
        "steps": [{"send": "s", "to": "SELECT 1 AS x", "channels": ["email"], "texts": [{"body": "x"}]}],
    }
    found = survey(parse_spec(spec), Catalog(tables=(table,), functions=shop().functions))
    assert isinstance(found.workflow.trigger, ChangeTrigger)
    match = build_match(found.workflow.trigger, table, found.fragments, ())
    cases = " ".join(f"WHEN '{op}' THEN {text}" for op, text in match.prefilter.items())
    query = f"""
        SELECT e.op FROM jsonb_to_recordset(%s::jsonb) AS e(op text, n jsonb, o jsonb)
        CROSS JOIN LATERAL jsonb_populate_record(NULL::lab.sample, e.n) AS new
        CROSS JOIN LATERAL jsonb_populate_record(NULL::lab.sample, e.o) AS old
        CROSS JOIN LATERAL jsonb_populate_record(NULL::lab.sample, e.n) AS n
        CROSS JOIN LATERAL jsonb_populate_record(NULL::lab.sample, e.o) AS o
        WHERE (SELECT {{condition}} FROM (SELECT e.op) AS event(op))
        AND (CASE e.op {cases} ELSE false END) IS NOT TRUE"""
    rows = [
        {"op": op, "n": None if op == "delete" else new, "o": None if op == "insert" else old}
        for op, new, old in events
    ]
    text = query.replace("{condition}", match.condition)
    return lab.execute(text, [json.dumps(rows)]).fetchall()


@MANY
@given(condition=conditions(), events=EVENTS)
def test_becomes_is_never_missed(lab: Connection[Any], sample: Table, condition: str, events: list[Any]) -> None:
    lab.execute("SET timezone TO 'UTC'")
    assert missed(lab, sample, {"becomes": condition}, events) == []


@MANY
@given(
    parts=st.tuples(conditions(), conditions()),
    columns=st.lists(st.sampled_from(list(ROWS)), unique=True),
    events=EVENTS,
)
def test_when_and_columns_are_never_missed(
    lab: Connection[Any], sample: Table, parts: tuple[str, str], columns: list[str], events: list[Any]
) -> None:
    lab.execute("SET timezone TO 'UTC'")
    both = f"{_prefixed(parts[0], 'new')} OR NOT {_prefixed(parts[1], 'old')}"
    trigger = {"ops": ["insert", "update", "delete"], "columns": columns, "when": both}
    assert missed(lab, sample, trigger, events) == []


def _prefixed(condition: str, row: str) -> str:
    """Write the bare columns of an atom with a prefix."""
    return re.sub(r"(?<![\w'./:%])([abnrtvckfedzsujx])(?![\w'(.%])", rf"{row}.\1", condition)


def test_a_session_in_another_zone_does_not_make_the_hook_drop_a_row(lab: Connection[Any], sample: Table) -> None:
    row = {"z": "2026-01-01T05:00:00Z", "d": "2026-01-01"}
    prefilters = []
    for becomes in (
        "z >= '2026-01-01'",
        "z > d",
        "z >= '2026-01-01 00:00'",
        "z >= '2026-01-01T00:00:00Z'",
        "d >= '2026-01-01'",
    ):
        found = survey(
            parse_spec(
                {
                    "workflow": "test",
                    "about": "x",
                    "trigger": {"change": "lab.sample", "becomes": becomes},
                    "steps": [{"send": "s", "to": "SELECT 1 AS x", "channels": ["email"], "texts": [{"body": "x"}]}],
                }
            ),
            Catalog(tables=(sample,)),
        )
        assert isinstance(found.workflow.trigger, ChangeTrigger)
        prefilters.append(build_match(found.workflow.trigger, sample, found.fragments, ()).prefilter["insert"])
    lab.execute("SET timezone TO 'America/Los_Angeles'; SET datestyle TO 'SQL, DMY'")
    text = ", ".join(prefilters)
    query = f"SELECT {text} FROM jsonb_populate_record(NULL::lab.sample, %s::jsonb) AS n"
    assert lab.execute(query, [json.dumps(row)]).fetchone() == (True,) * 5
    lab.execute("RESET datestyle")
