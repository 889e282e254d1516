"""Commit → provider called: 100 events a second, each in a transaction of its own; the engine was idle before.

Both ends are read on the machine's monotonic clock: right after the application's commit, and when the request came.
"""

import statistics
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack

import psycopg

from bench import rivals
from bench.ours import project
from bench.peer import wait_until
from bench.rabbit import rabbitmq
from bench.race import Measured, Outcome, Variant
from bench.results import Goal, Row, at_most, reported
from bench.rivals import Rival
from bench.sink import Sink
from bench.stage import Stage
from bench.workflows import order_written

_PER_SECOND = 100
_INSERT = (
    "INSERT INTO shop.orders (id, customer_id, status, amount, currency, title, note, street, city, placed_at)"
    " OVERRIDING SYSTEM VALUE"
    " VALUES (%s, 1, 'paid', 100, 'EUR', 'A lamp', 'Please ring twice', 'Long Street 12', 'Springfield', now())"
)
_OPEN_SECONDS = 2.0
"""How long the late transaction stays open after its write."""
_IDLE_SECONDS = 2.0
_WARM_UP, _LATE = 10_000_000, 20_000_000
"""Where ids begin of the orders before the measurement, and of those that are committed late."""
_LATES = 5
_OURS, _RABBIT = "Tidings", "Tidings on RabbitMQ"
_RIVALS = (rivals.GRAPHILE_PROMPT, rivals.PGBOSS_PROMPT, rivals.PROCRASTINATE, rivals.DBOS)
_METRICS: Mapping[str, tuple[str, float]] = {
    "p50": ("median", 5.0),
    "p99": ("99th percentile", 15.0),
    "late": ("a late commit, slowest", 250.0),
}


def run(stage: Stage) -> Iterator[Row]:
    """Yield a row for each metric: on the default broker, and on RabbitMQ where it is installed."""
    with ExitStack() as stack:
        sink = stack.enter_context(Sink())
        broker_url = stack.enter_context(rabbitmq())
        variants = [Variant(_OURS, _ours(stage, sink))]
        if broker_url:
            variants.append(Variant(_RABBIT, _ours(stage, sink, broker_url)))
        else:
            stage.tell("RabbitMQ is not installed: left out")
        if stage.peers is not None:
            variants += [Variant(rival.name, _peer(stage, sink, rival)) for rival in _RIVALS]
        outcome = stage.race(variants)
    names = [variant.name for variant in variants]
    for ours in (_OURS, _RABBIT):
        if ours in names:
            yield from _rows(outcome, ours, [name for name in names if name not in (_OURS, _RABBIT)])


def _rows(outcome: Outcome, ours: str, peers: list[str]) -> Iterator[Row]:
    where = " on RabbitMQ" if ours == _RABBIT else ""
    for metric, (words, most) in _METRICS.items():
        goal: Goal = at_most(most, unit=" ms") if ours == _OURS else reported(higher=False)
        others = {name: outcome.of(name, metric) for name in peers}
        name = f"commit to provider{where}, {_PER_SECOND} events/s: {words}"
        yield Row(name, outcome.of(ours, metric), goal, "ms", others, outcome.loud([ours, *peers]))


def _ours(stage: Stage, sink: Sink, broker_url: str = "") -> Callable[[], Measured]:
    def measure() -> Measured:
        with (
            stage.database("bench_latency") as url,
            project(url, order_written(), sink_url=sink.url, broker_url=broker_url) as mine,
        ):
            mine.start()
            return _latency(stage, sink, url)

    return measure


def _peer(stage: Stage, sink: Sink, rival: Rival) -> Callable[[], Measured]:
    def measure() -> Measured:
        with rival.database(stage) as url, rival.work(stage, url, sink=sink.url):
            return _latency(stage, sink, url)

    return measure


def _latency(stage: Stage, sink: Sink, url: str) -> Measured:
    """Warm up, let the engine fall idle, and measure both kinds of commit."""
    sink.reset()
    _steady(url, _WARM_UP, _PER_SECOND)
    wait_until(lambda: sink.taken().mails >= _PER_SECOND, "the warm-up's mails did not come")
    stage.settle()
    time.sleep(_IDLE_SECONDS)
    count = round(2 * _PER_SECOND * stage.scale.seconds)
    steady = _lateness(sink, _steady(url, 1, count))
    with _beside(url, _PER_SECOND):
        late = _lateness(sink, _late(url))
    return {
        "p50": statistics.median(steady),
        "p99": statistics.quantiles(steady, n=100)[98],
        "late": max(late),
    }


def _steady(url: str, first: int, count: int) -> dict[int, int]:
    """Write orders at an even pace; return when each was committed."""
    committed: dict[int, int] = {}
    with psycopg.connect(url, autocommit=True) as conn:
        began = time.monotonic()
        for number in range(count):
            time.sleep(max(0.0, began + number / _PER_SECOND - time.monotonic()))
            conn.execute(_INSERT, (first + number,))
            committed[first + number] = time.monotonic_ns()
    return committed


def _late(url: str) -> dict[int, int]:
    """Write orders in transactions that stay open for a while, so that younger ones overtake them."""
    committed: dict[int, int] = {}
    with ExitStack() as stack:
        writers = [stack.enter_context(psycopg.connect(url)) for _ in range(_LATES)]
        for number, writer in enumerate(writers):
            writer.execute(_INSERT, (_LATE + number,))
            time.sleep(0.03)
        time.sleep(_OPEN_SECONDS)
        for number, writer in enumerate(writers):
            writer.commit()
            committed[_LATE + number] = time.monotonic_ns()
            time.sleep(0.1)
    return committed


def _beside(url: str, per_second: int) -> AbstractContextManager[object]:
    """Write other orders at an even pace while the context lasts."""
    stop = threading.Event()

    def write() -> None:
        with psycopg.connect(url, autocommit=True) as conn:
            number = _WARM_UP + 1_000_000
            while not stop.wait(1 / per_second):
                conn.execute(_INSERT, (number,))
                number += 1

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    stack = ExitStack()
    stack.callback(thread.join)
    stack.callback(stop.set)
    return stack


def _lateness(sink: Sink, committed: Mapping[int, int]) -> list[float]:
    """Return how many milliseconds each order's mail came after its commit."""
    wait_until(lambda: set(committed) <= set(sink.arrivals()), "not every order's mail came", pause=0.1)
    arrivals = sink.arrivals()
    return [(arrivals[order] - when) / 1e6 for order, when in committed.items()]
