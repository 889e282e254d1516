"""Runs compiled statements over batches of runs: one round trip, whatever the number of runs."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from psycopg import Connection

from runtime.errors import Permanent
from runtime.source.batch import Batch
from runtime.source.values import plain_cursor
from runtime.spec.compiled import Statement

ROW_CAP = 1000


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
        return [column.name for column in (cursor.description or [])[1:]], cursor.fetchall()
