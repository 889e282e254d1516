"""What a dispatcher and the workers use when nothing happens."""

import time
from collections.abc import Iterator

from bench.noise import seconds, ticks_of
from bench.ours import project
from bench.race import Measured, Variant
from bench.results import Row, at_most, reported
from bench.sink import Sink
from bench.stage import Stage
from bench.workflows import order_written

_OURS = "Tidings"
_REST = 5.0
"""Seconds after which a process that has just started is as idle as it gets."""


def run(stage: Stage) -> Iterator[Row]:
    """Yield a row for our processes, and one for what they ask of Postgres."""
    with Sink() as sink:
        outcome = stage.race([Variant(_OURS, lambda: _measure(stage, sink))])
    noisy = outcome.loud([_OURS])
    yield Row(
        "idle, dispatcher and 2 workers",
        outcome.of(_OURS, "processes %"),
        at_most(1, unit=" %"),
        "% of a core",
        {},
        noisy,
    )
    yield Row("idle, Postgres", outcome.of(_OURS, "postgres %"), reported(higher=False), "% of a core", {}, noisy)


def _measure(stage: Stage, sink: Sink) -> Measured:
    with stage.database("bench_idle") as url, project(url, order_written(), sink_url=sink.url) as mine:
        mine.start()
        stage.settle()
        time.sleep(min(_REST, stage.scale.idle_seconds))
        ours = [process.pid for process in mine.processes.values()]
        began = time.monotonic()
        before, postgres = sum(ticks_of(pid) for pid in ours), ticks_of(stage.postmaster)
        time.sleep(stage.scale.idle_seconds)
        took = time.monotonic() - began
        used = sum(ticks_of(pid) for pid in ours) - before
        asked = ticks_of(stage.postmaster) - postgres
    return {"processes %": 100 * seconds(used) / took, "postgres %": 100 * seconds(asked) / took}
