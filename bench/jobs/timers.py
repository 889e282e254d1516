"""Waits: how late those end that are due, while very many others wait; and what is read to find them.

A wait's end counts when its result is committed: the server keeps the times of commits.
"""

import time
from collections.abc import Iterator

import psycopg

from bench.delays import fired_of_short_ones
from bench.ours import FirstSteps, Project, project
from bench.peer import wait_until
from bench.rabbit import rabbitmq
from bench.race import Measured, Variant
from bench.results import Row, at_least, at_most
from bench.stage import Stage
from bench.workflows import SHORT_WAIT, WAIT_FIRST
from bench.writers import AHEAD, BULK, INSERT_MANY

_OURS, _DRAMATIQ = "Tidings", "Dramatiq's delays on RabbitMQ"
_PER_SECOND, _AT_ONCE = 1_000, 10
_WAIT_SECONDS = 5.0
_MOST_READ = 50
"""Rows that may be read for each wait that ends: a single scan of all that wait would be more."""
_DUE = (
    "INSERT INTO shop.orders (customer_id, status, amount, currency, title, note, street, city, placed_at)"
    f" SELECT n, 'pending', 100, 'EUR', 'A lamp', 'Please ring', 'Long Street 12', 'Springfield', now()"
    f" FROM generate_series(1, {_AT_ONCE}) n"
)
_ENDED = """
SELECT extract(epoch FROM pg_xact_commit_timestamp(s.xmin) - r.at)::float8 - %s
FROM tidings.step_result s
JOIN tidings.run r ON r.project_id = s.project_id AND r.id = s.run_id
JOIN tidings.event e ON e.project_id = r.project_id AND e.id = r.event_id
WHERE s.step = 1 AND s.run_id > %s
"""
_READ = """
SELECT coalesce(sum(seq_tup_read), 0)::int8, coalesce(sum(idx_tup_fetch), 0)::int8
FROM pg_stat_user_tables WHERE schemaname = 'tidings' AND relname IN ('run_timer', 'run')
"""


def run(stage: Stage) -> Iterator[Row]:
    """Yield rows for lateness, for what is read, and for short waits behind long ones."""
    with stage.database("bench_timers") as url, project(url, WAIT_FIRST, SHORT_WAIT) as mine:
        mine.start()
        stage.tell(f"Letting {stage.scale.waiting:,} runs wait")
        _let_wait(url, stage.scale.waiting)
        with psycopg.connect(url, autocommit=True) as conn:
            conn.execute("VACUUM ANALYZE")
        outcome = stage.race([Variant(_OURS, lambda: _measure(stage, mine))])
    noisy, waiting = outcome.loud([_OURS]), f"{stage.scale.waiting:,} waiting"
    name = f"timers, {waiting}, {_PER_SECOND:,}/s due: 99th percentile late"
    yield Row(name, outcome.of(_OURS, "p99 s"), at_most(1, unit=" s"), "s", {}, noisy)
    name = f"timers, {waiting}: rows of runs and timers read for each that is due"
    yield Row(name, outcome.of(_OURS, "rows read"), at_most(_MOST_READ), "rows", {}, noisy)
    yield from _starved(stage)


def _measure(stage: Stage, mine: Project) -> Measured:
    stage.settle()
    last = int(mine.says("SELECT max(run_id) FROM tidings.step_result") or 0)
    _write_due(mine.url, 2 * _WAIT_SECONDS)  # from here on as many end as begin
    before, ended = _rows_read(mine), _ended(mine, last)
    _write_due(mine.url, stage.scale.seconds)
    read, due = _rows_read(mine) - before, _ended(mine, last) - ended
    total = _PER_SECOND * (2 * _WAIT_SECONDS + stage.scale.seconds)
    wait_until(lambda: _ended(mine, last) >= total, "not every wait ended", pause=0.2)
    late = _lateness(mine.url, last)
    return {"p99 s": late[int(len(late) * 0.99)], "p50 s": late[len(late) // 2], "rows read": read / max(1, due)}


def _let_wait(url: str, count: int) -> None:
    """Let so many runs begin a long wait, as fast as the engine takes them."""
    steps = FirstSteps(url)
    begun, first, written = steps.count(), steps.reached(), 0
    with psycopg.connect(url, autocommit=True) as conn:
        while written < count:
            if written - (steps.reached() - first) < AHEAD:
                conn.execute(INSERT_MANY)
                written += BULK
            else:
                time.sleep(0.02)
    wait_until(lambda: steps.count() - begun >= count, "not every wait began", pause=0.5)
    steps.close()


def _write_due(url: str, seconds: float) -> None:
    """Write orders at an even pace whose waits are short."""
    with psycopg.connect(url, autocommit=True) as conn:
        began = time.monotonic()
        for number in range(round(_PER_SECOND * seconds) // _AT_ONCE):
            time.sleep(max(0.0, began + number * _AT_ONCE / _PER_SECOND - time.monotonic()))
            conn.execute(_DUE)


def _ended(mine: Project, last: int) -> int:
    newer = f"project_id = 1 AND run_id > {last} AND step = 1"
    return int(mine.says(f"SELECT count(*) FROM tidings.step_result WHERE {newer}"))


def _rows_read(mine: Project) -> int:
    """Return how many rows of runs and timers were read until now; statistics may be a second old."""
    time.sleep(1.5)
    with psycopg.connect(mine.url, autocommit=True) as conn:
        row = conn.execute(_READ).fetchone()
    return sum(row) if row else 0


def _lateness(url: str, last: int) -> list[float]:
    with psycopg.connect(url, autocommit=True) as conn:
        return sorted(float(row[0]) for row in conn.execute(_ENDED, (_WAIT_SECONDS, last)))


def _starved(stage: Stage) -> Iterator[Row]:
    """Yield how many of a hundred short waits end in time behind 12,000 long ones: ours, and Dramatiq's own delays."""
    long_ones = min(12_000, stage.scale.waiting)
    with rabbitmq() as broker_url:
        variants = [Variant(_OURS, lambda: _short_ones(stage, long_ones))]
        if broker_url:
            variants.append(Variant(_DRAMATIQ, lambda: {"fired": fired_of_short_ones(broker_url, long_ones)}))
        outcome = stage.race(variants)
    peers = {_DRAMATIQ: outcome.of(_DRAMATIQ, "fired")} if broker_url else {}
    name = f"timers, short waits that ended in time of 100, behind {long_ones:,} long ones"
    yield Row(name, outcome.of(_OURS, "fired"), at_least(100), "waits", peers, outcome.loud([_OURS, *peers]))


def _short_ones(stage: Stage, long_ones: int) -> Measured:
    with stage.database("bench_timers") as url, project(url, WAIT_FIRST, SHORT_WAIT) as mine:
        mine.start()
        _let_wait(url, long_ones)
        last = int(mine.says("SELECT max(run_id) FROM tidings.step_result") or 0)
        with psycopg.connect(url, autocommit=True) as conn:
            for _ in range(100 // _AT_ONCE):
                conn.execute(_DUE)
        time.sleep(_WAIT_SECONDS + 2)
        return {"fired": float(_ended(mine, last))}
