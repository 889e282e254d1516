"""Runs compiled statements over batches of runs: one round trip, whatever the number of runs."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import count
from typing import Any

from psycopg import Connection, sql

from runtime.errors import Permanent
from runtime.source.batch import Batch
from runtime.source.values import plain_cursor
from runtime.spec.compiled import Statement

ROW_CAP = 1000
_FETCHED = 2_000
"""Rows of a stream that are in memory at a time."""
_numbers = count(1)


class RowCapExceeded(Permanent):
    """Some runs asked for more rows than a run may have; the others of the batch can be run again without them."""

    def __init__(self, run_ids: Sequence[int], cap: int) -> None:
        self.run_ids = tuple(run_ids)
        super().__init__(
            f"{len(self.run_ids)} run(s) got more than {cap} rows. "
            "Add a condition or a LIMIT to the query, or aggregate in it; rows are never cut off silently."
        )


def run_statement(
    conn: Connection[Any], statement: Statement, batch: Batch, now: datetime, *, cap: int = ROW_CAP
) -> dict[int, list[dict[str, Any]]]:
    """Return each run's rows, in the statement's order; a run without rows is absent.

    Values are what `values.plain_cursor` promises. Raises RowCapExceeded, and psycopg's errors as they come: one bad
    value fails the whole statement, and the caller splits the batch to find it.
    """
    names, rows = _fetch(conn, statement, batch, now, cap)
    found: defaultdict[int, list[dict[str, Any]]] = defaultdict(list)
    for run_id, *values in rows:
        found[run_id].append(dict(zip(names, values, strict=True)))
    over = [run_id for run_id, of_run in found.items() if len(of_run) > cap]
    if over:
        raise RowCapExceeded(over, cap)
    return dict(found)


class Stream:
    """The rows of one run, which stay in the database until they are asked for; as long as its transaction lasts.

    They were found when it was opened: it has a length, and every iteration gives the same rows.
    """

    def __init__(self, conn: Connection[Any], name: sql.Identifier, length: int) -> None:
        self._conn = conn
        self._name = name
        self._length = length

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[dict[str, Any]]:
        with plain_cursor(self._conn) as cursor:
            cursor.execute(sql.SQL("MOVE ABSOLUTE 0 IN {}").format(self._name))
            fetch = sql.SQL("FETCH {} FROM {}").format(sql.Literal(_FETCHED), self._name)
            while rows := cursor.execute(fetch).fetchall():
                names = [column.name for column in (cursor.description or [])[1:]]
                for row in rows:
                    yield dict(zip(names, row[1:], strict=True))


def stream(conn: Connection[Any], statement: Statement, batch: Batch, now: datetime, *, cap: int) -> Stream:
    """Return the rows of the one run in a batch, to be read in slices. Raises what `run_statement` raises, and here.

    The database computes every row once and keeps them, so no row fails later.
    """
    name = sql.Identifier(f"stream_{next(_numbers)}")
    conn.execute("SELECT set_config('cursor_tuple_fraction', '1', true)")
    declare = sql.SQL("DECLARE {} SCROLL CURSOR FOR ").format(name).as_bytes(None)
    conn.execute(declare + statement.sql.encode(), batch.parameters(now=now, cap=cap))
    with conn.pipeline():  # at whose end the answer is there
        moved = conn.execute(sql.SQL("MOVE ALL IN {}").format(name))
    length = moved.rowcount
    if length > cap:
        raise RowCapExceeded(batch.ids, cap)
    return Stream(conn, name, length)


def holds(conn: Connection[Any], statement: Statement, batch: Batch, now: datetime) -> dict[int, bool]:
    """Return for every run whether the condition is true; NULL and no row are false."""
    answers = {run_id: bool(value) for run_id, value in _fetch(conn, statement, batch, now, 1)[1]}
    return {run_id: answers.get(run_id, False) for run_id in batch.ids}


def instants(conn: Connection[Any], statement: Statement, batch: Batch, now: datetime) -> dict[int, datetime | None]:
    """Return for every run the instant the statement gives, aware and in UTC; None where it gives none."""
    answers: dict[int, datetime | None] = dict(_fetch(conn, statement, batch, now, 1)[1])
    return {run_id: answers.get(run_id) for run_id in batch.ids}


def _fetch(
    conn: Connection[Any], statement: Statement, batch: Batch, now: datetime, cap: int
) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Return the names of the columns after `run_id`, and the rows."""
    if not batch.ids:
        return [], []
    with plain_cursor(conn) as cursor:
        # The text was rendered from a checked syntax tree at publish, see runtime/spec.
        cursor.execute(statement.sql, batch.parameters(now=now, cap=cap))
        rows = cursor.fetchall()
        return [column.name for column in (cursor.description or [])[1:]], rows
