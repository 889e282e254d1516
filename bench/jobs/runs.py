"""Rows written → runs with their first step in the ledger, through the real engine, beside those who write the rows.

Peers run jobs that do nothing: they keep no record of runs.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import psycopg

from bench import rivals
from bench.ours import FirstSteps, project
from bench.peer import wait_until
from bench.race import Measured, Outcome, Variant
from bench.results import Row, at_least, times_best
from bench.rivals import Rival
from bench.stage import Stage
from bench.workflows import QUERY_FIRST, WAIT_FIRST
from bench.writers import bulk_writer, single_writers

Writer = Callable[[str, Callable[[], int]], AbstractContextManager[None]]
_WAIT, _QUERY = "wait first", "query first"
_SHAPES = {_WAIT: WAIT_FIRST, _QUERY: QUERY_FIRST}
_WARM = 0.4
"""What is written before the measurement begins, as a share of its time."""
_RIVALS = {
    "bulk": (rivals.PGBOSS_NOTIFY, rivals.GRAPHILE_STATEMENT, rivals.GRAPHILE_ROW, *rivals.PYTHON),
    "single": (rivals.PGBOSS_STATEMENT, rivals.GRAPHILE_STATEMENT, rivals.GRAPHILE_ROW, *rivals.PYTHON),
}


def run(stage: Stage) -> Iterator[Row]:
    """Yield rows for the bulk writer and for single-row commits."""
    writers: dict[str, Writer] = {
        "bulk": bulk_writer,
        "single": lambda url, _: single_writers(stage, url),
    }
    for kind, writer in writers.items():
        outcome = stage.race(_variants(stage, kind, writer))
        yield from _rows(stage, kind, outcome)


def _variants(stage: Stage, kind: str, writer: Writer) -> list[Variant]:
    ours = [Variant(f"Tidings, {shape}, {kind}", _ours(stage, spec, writer)) for shape, spec in _SHAPES.items()]
    if stage.peers is None:
        return ours
    return ours + [Variant(rival.name, _peer(stage, rival, writer)) for rival in _RIVALS[kind]]


def _ours(stage: Stage, spec: str, writer: Writer) -> Callable[[], Measured]:
    def measure() -> Measured:
        with stage.database("bench_runs") as url, project(url, spec) as mine:
            mine.start()
            steps = FirstSteps(url)
            try:
                return _pace(stage, url, writer, pace=steps.reached, count=steps.count)
            finally:
                steps.close()

    return measure


def _peer(stage: Stage, rival: Rival, writer: Writer) -> Callable[[], Measured]:
    def measure() -> Measured:
        with rival.database(stage) as url, rival.work(stage, url) as process:
            return _pace(stage, url, writer, pace=process.progress, count=process.progress)

    return measure


def _pace(stage: Stage, url: str, writer: Writer, *, pace: Callable[[], int], count: Callable[[], int]) -> Measured:
    """Return how many are done a second, once it is under way; the writer goes by the pace, the result by the count."""
    stage.settle()
    with writer(url, pace):
        wait_until(lambda: pace() > 0, "nothing is done")
        time.sleep(stage.scale.seconds * _WARM)
        with psycopg.connect(url, autocommit=True) as conn:
            conn.execute("ANALYZE")  # as autovacuum would, a minute later
        began, before = time.monotonic(), count()
        time.sleep(stage.scale.seconds)
        ended, after = time.monotonic(), count()
    return {"per_second": (after - before) / (ended - began)}


def _rows(stage: Stage, kind: str, outcome: Outcome) -> Iterator[Row]:
    peers = {r.name: outcome.of(r.name, "per_second") for r in _RIVALS[kind]} if stage.peers else {}
    python = {rival.name: peers[rival.name] for rival in rivals.PYTHON if rival.name in peers}
    writing = "1,000-row INSERTs" if kind == "bulk" else "single-row commits, 8 clients"
    for shape in _SHAPES:
        name = f"Tidings, {shape}, {kind}"
        ours, noisy = outcome.of(name, "per_second"), outcome.loud([name, *peers])
        goal = times_best(1.0) if peers else at_least(1)
        yield Row(f"rows to runs, {shape}, {writing}", ours, goal, "runs/s", peers, noisy)
        if kind == "bulk" and python:
            goal = times_best(15.0, of="the Python peers")
            yield Row(f"rows to runs, {shape}, {writing}, beside Python", ours, goal, "runs/s", python, noisy)
