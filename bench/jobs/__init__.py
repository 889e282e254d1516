"""The jobs of the benchmark, in the order in which they are played."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from bench.jobs import capture, fanout, idle, latency, runs, timers
from bench.results import Row
from bench.stage import Stage


class Job(NamedTuple):
    """One job."""

    about: str
    run: Callable[[Stage], Iterator[Row]]


JOBS: dict[str, Job] = {
    "capture": Job("what single-row statements keep of their speed", capture.run),
    "bulk": Job("what statements of 1,000 rows keep of their speed", capture.run_bulk),
    "runs": Job("rows written → runs with their first step in the ledger", runs.run),
    "fanout": Job("one event → many recipients, to a provider on this machine", fanout.run),
    "latency": Job("commit → provider called", latency.run),
    "timers": Job("waits that end while very many others wait", timers.run),
    "idle": Job("what the processes use when nothing happens", idle.run),
}
