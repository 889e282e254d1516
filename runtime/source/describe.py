"""Asks the live server what a statement would return and cost, without running it."""

import re
from datetime import UTC, datetime
from typing import Any

from psycopg import Connection, errors, pq
from psycopg.rows import dict_row

from runtime.errors import Permanent
from runtime.ledger.queries import load_queries
from runtime.source.batch import Batch
from runtime.source.statements import ROW_CAP
from runtime.spec.schema import Column

_QUERIES = load_queries("runtime.source")
_PLACEHOLDER = re.compile(r"%(?:\((\w+)\)s|%)")
_TYPES = {"ids": 1016, "new": 3807, "old": 3807, "item": 3807, "context": 3807, "at": 1185, "now": 1184, "cap": 23}
"""Parameter → type: int8[], jsonb[], timestamptz[], timestamptz, int4."""
_SAMPLE = Batch(ids=[0], at=[datetime(2026, 1, 1, tzinfo=UTC)], new=["{}"], old=["{}"], item=["{}"], context=["{}"])


def describe(conn: Connection[Any], sql: str) -> tuple[Column, ...]:
    """Return the columns of a statement's result, `run_id` among them, in order; nothing is executed.

    Raises psycopg's errors and leaves the transaction usable. Every column counts as nullable.
    """
    with conn.transaction():
        text, names = _numbered(sql)
        prepared = conn.pgconn.prepare(b"", text.encode(), [_TYPES[name] for name in names])
        _raise_on_error(prepared)
        result = conn.pgconn.describe_prepared(b"")
        _raise_on_error(result)
        places = range(result.nfields)
        fields = {"types": [result.ftype(at) for at in places], "typmods": [result.fmod(at) for at in places]}
        with conn.transaction(force_rollback=True), conn.cursor(row_factory=dict_row) as cursor:
            cursor.execute("SELECT set_config('search_path', 'pg_catalog', true)")
            types = cursor.execute(_QUERIES["result_types"], fields).fetchall()
    columns = [(result.fname(at) or b"").decode() for at in places]
    return tuple(
        Column(name=name, type=row["type"], base=row["base"], labels=tuple(row["labels"]))
        for name, row in zip(columns, types, strict=True)
    )


def estimated_cost(conn: Connection[Any], sql: str) -> float:
    """Return the planner's cost of the statement for one run, in its own units; it is planned, not executed.

    Raises psycopg's errors, InsufficientPrivilege for a table the role may not read among them, and leaves the
    transaction usable.
    """
    with conn.transaction():
        found = conn.execute(
            f"EXPLAIN (FORMAT JSON) {sql}", _SAMPLE.parameters(now=_SAMPLE.at[0], cap=ROW_CAP)
        ).fetchone()
    if found is None:
        raise Permanent("Postgres gave no plan for the statement. Try it in psql with EXPLAIN.")
    return float(found[0][0]["Plan"]["Total Cost"])


def _numbered(sql: str) -> tuple[str, list[str]]:
    """Turn `%(name)s` into `$1`, `$2` … and return the names in that order."""
    names: list[str] = []

    def number(match: re.Match[str]) -> str:
        name = match.group(1)
        if name is None:
            return "%"
        if name not in names:
            names.append(name)
        return f"${names.index(name) + 1}"

    return _PLACEHOLDER.sub(number, sql), names


def _raise_on_error(result: pq.abc.PGresult) -> None:
    if result.status == pq.ExecStatus.FATAL_ERROR:
        raise errors.error_from_result(result)
