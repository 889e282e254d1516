"""Counts what happened, once: the numbers of the health page and of the metrics, which outlive the rows.

Counting a large ledger each time somebody asks would take seconds, and the numbers would fall when rows are removed.
So new rows are added to `tidings.tally` by their ids, a little behind the present, and requests when they are finished.
What is under way can't be counted once: a census counts it, less often the longer that takes.
"""

import json
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from psycopg import Connection

from runtime.ledger.database import Ledger
from runtime.ledger.queries import load_queries
from runtime.ledger.settled import Settled

TABLES = ("run", "message", "delivery_batch", "delivery_event", "dead_letter")
"""What is counted by its ids; the stage of each is called `count_<table>`."""
_ROWS = 20_000
"""That one transaction counts."""
_BATCHES = 2_000
_LEAST_AGE = timedelta(seconds=5)
_SHARE = 200
"""A census may take one part in so many of the time."""
_QUERIES = load_queries("runtime.engine", "tally.sql")


def count_new(ledger: Ledger, settled: Settled, windows: Mapping[str, timedelta], *, seconds: float = 0.25) -> int:
    """Add what is new to the tally, for about as many seconds at most, and return how many rows were looked at.

    `windows` says for how long each idempotent provider takes the same request only once. Each row is counted once,
    also by two processes at the same time, and only when no row with a lower id can appear any more.
    """
    deadline, looked = time.monotonic() + seconds, 0
    with ledger.connection() as conn:
        reached = _reached(conn, ledger.project_id)
        ends = {table: settled.up_to(conn, table) for table in TABLES}
    for table in TABLES:
        while reached[table] < ends[table] and time.monotonic() < deadline:
            upto = min(ends[table], reached[table] + _ROWS)
            with ledger.transaction() as conn:
                looked += _count(conn, ledger.project_id, table, upto)
            reached[table] = upto
    while time.monotonic() < deadline:
        with ledger.transaction() as conn:
            finished = _count_finished(conn, ledger.project_id, windows)
        looked += finished
        if finished < _BATCHES:
            break
    return looked


def take_census(ledger: Ledger, *, least_age: timedelta = _LEAST_AGE) -> bool:
    """Count what is under way, unless that was done just now; return whether it was.

    Between two censuses lie `least_age` and 200 times what one takes, so that it costs next to nothing of any ledger.
    """
    values: dict[str, Any] = {"project_id": ledger.project_id}
    with ledger.transaction() as conn:
        last = conn.execute(_QUERIES["census_age"], values).fetchone()
        if last is not None and last[0] < max(least_age, last[1] * _SHARE if least_age else least_age):
            return False
        began = time.monotonic()
        rows = conn.execute(_QUERIES["take_census"], values).fetchall()
        took = timedelta(seconds=time.monotonic() - began)
        columns = [list(column) for column in zip(*rows, strict=True)] or [[], [], [], []]
        names = ("whats", "states", "reasons", "numbers")
        conn.execute(_QUERIES["store_census"], values | dict(zip(names, columns, strict=True)))
        conn.execute(_QUERIES["note_census"], values | {"took": took})
    return True


def _reached(conn: Connection[Any], project_id: int) -> dict[str, int]:
    values = {"project_id": project_id, "stages": [f"count_{table}" for table in TABLES]}
    found = dict(conn.execute(_QUERIES["reached"], values).fetchall())
    if len(found) < len(TABLES):
        conn.execute(_QUERIES["prepare_stages"], values)
    return {table: found.get(f"count_{table}", 0) for table in TABLES}


def _count(conn: Connection[Any], project_id: int, table: str, upto: int) -> int:
    values = {"project_id": project_id, "stage": f"count_{table}", "upto": upto}
    after, _ = conn.execute(_QUERIES["take_stage"], values).fetchall()[0]
    if after >= upto:  # another leader was here
        return 0
    conn.execute(_QUERIES[f"count_{table}"], values | {"after": after})
    conn.execute(_QUERIES["leave_stage"], values)
    return int(upto - after)


def _count_finished(conn: Connection[Any], project_id: int, windows: Mapping[str, timedelta]) -> int:
    texts = json.dumps({provider: f"{window.total_seconds()} s" for provider, window in windows.items()})
    values = {"project_id": project_id, "windows": texts, "limit": _BATCHES}
    return int(conn.execute(_QUERIES["count_finished"], values).fetchall()[0][0])
