"""What the user's own writes keep of their speed: single-row statements, and those of 1,000 rows.

Each variant measures INSERTs and UPDATEs on a fresh database, and is compared with the same in a database without any
trigger, in the same round. Nothing drains what is captured, unless a variant says that everything runs.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import psycopg

from bench import rivals
from bench.http_path import KEEP_ALIVE, NEW_CONNECTION, NO_CALL, calling
from bench.ours import project
from bench.race import Measured, Outcome, Variant
from bench.results import Goal, Row, Series, at_least, at_most
from bench.rivals import Rival
from bench.sink import Sink
from bench.stage import Stage
from bench.workflows import order_written
from bench.writers import FILL, INSERT_MANY, INSERT_ONE, UPDATE_MANY, UPDATE_ONE, pgbench

Database = Callable[[], AbstractContextManager[str]]
_CLIENTS = 8
_BARE, _ALL, _NONE, _RUNNING = "no trigger", "Tidings, all match", "Tidings, none match", "Tidings, everything running"
_SINGLE = (
    rivals.GRAPHILE_STATEMENT,
    rivals.GRAPHILE_ROW,
    rivals.PROCRASTINATE,
    rivals.PGBOSS_STATEMENT,
)
_BULK = _SINGLE
_IN_PATH = {
    KEEP_ALIVE: "HTTP call in the request path, connection kept",
    NEW_CONNECTION: "HTTP call, a connection each",
}


def run(stage: Stage) -> Iterator[Row]:
    """Yield rows for single-row statements."""
    databases = _ours(stage) | {_RUNNING: _everything_runs(stage)} | {rivals.NOTIFY.name: _peer(stage, rivals.NOTIFY)}
    peers = list(_SINGLE) if stage.peers else []
    databases |= {rival.name: _peer(stage, rival) for rival in peers}
    variants = [Variant(name, _single(stage, database)) for name, database in databases.items()]
    with Sink() as sink:
        variants += [Variant(how, _in_path(stage, sink, how)) for how in (NO_CALL, *_IN_PATH)]
        outcome = stage.race(variants)
    names = [rivals.NOTIFY.name, *(rival.name for rival in peers)]
    noisy = outcome.loud([variant.name for variant in variants])
    for verb in ("INSERT", "UPDATE"):
        others = {name: outcome.share(name, verb, of=_BARE) for name in names}
        if verb == "INSERT":
            others |= {words: outcome.share(how, verb, of=NO_CALL) for how, words in _IN_PATH.items()}
        what = f"kept of single-row {verb}s, {_CLIENTS} clients"
        yield Row(f"{what}, all match", outcome.share(_ALL, verb, of=_BARE), at_least(0.70), "", others, noisy)
        for ours, words, least in ((_NONE, "none match", 0.88), (_RUNNING, "everything running", 0.55)):
            yield Row(f"{what}, {words}", outcome.share(ours, verb, of=_BARE), at_least(least), "", {}, noisy)
        yield _added(outcome, verb, names, noisy)


def run_bulk(stage: Stage) -> Iterator[Row]:
    """Yield rows for statements of 1,000 rows."""
    peers = list(_BULK) if stage.peers else []
    databases = _ours(stage) | {rival.name: _peer(stage, rival) for rival in peers}
    variants = [Variant(name, _bulk(stage, database)) for name, database in databases.items()]
    outcome = stage.race(variants)
    noisy = outcome.loud([variant.name for variant in variants])
    for verb, least in (("INSERT", 0.35), ("UPDATE", 0.22)):
        others = {rival.name: outcome.share(rival.name, verb, of=_BARE) for rival in peers}
        what = f"kept of 1,000-row {verb}s"
        yield Row(f"{what}, all match", outcome.share(_ALL, verb, of=_BARE), at_least(least), "", others, noisy)
        yield Row(f"{what}, none match", outcome.share(_NONE, verb, of=_BARE), at_least(0.80), "", {}, noisy)


def _added(outcome: Outcome, verb: str, names: list[str], noisy: int) -> Row:
    """Return what one client waits longer."""
    metric = f"{verb} p50 ms"
    others: dict[str, Series] = {name: outcome.more(name, metric, than=_BARE) for name in names}
    goal: Goal = at_most(0.15, unit=" ms")
    ours = outcome.more(_ALL, metric, than=_BARE)
    return Row(f"added to single-row {verb}s, 1 client, median", ours, goal, "ms", others, noisy)


def _ours(stage: Stage) -> dict[str, Database]:
    @contextmanager
    def bare() -> Iterator[str]:
        with stage.database("bench_bare") as url:
            yield url

    def published(*, matches: bool) -> Database:
        @contextmanager
        def database() -> Iterator[str]:
            with stage.database("bench_capture") as url, project(url, order_written(matches=matches)):
                yield url

        return database

    return {_BARE: bare, _ALL: published(matches=True), _NONE: published(matches=False)}


def _everything_runs(stage: Stage) -> Database:
    """Return databases beside which a dispatcher and workers send to the inbox."""

    @contextmanager
    def database() -> Iterator[str]:
        with stage.database("bench_capture") as url, project(url, order_written(), production=False) as mine:
            mine.start()
            yield url

    return database


def _peer(stage: Stage, rival: Rival) -> Database:
    return lambda: rival.database(stage)


def _single(stage: Stage, database: Database) -> Callable[[], Measured]:
    def measure() -> Measured:
        seconds, rows = stage.scale.seconds, stage.scale.rows
        found: dict[str, float] = {}
        with database() as url:
            for verb, script in (("INSERT", INSERT_ONE), ("UPDATE", UPDATE_ONE)):
                if verb == "UPDATE":
                    _refill(url, rows)
                stage.settle()
                found[verb] = pgbench(stage, url, script, clients=_CLIENTS, seconds=seconds, rows=rows).tps
                alone = pgbench(stage, url, script, clients=1, seconds=seconds / 2, rows=rows, log=True)
                found[f"{verb} p50 ms"] = alone.p50_ms
        return found

    return measure


def _bulk(stage: Stage, database: Database) -> Callable[[], Measured]:
    def measure() -> Measured:
        seconds, rows = stage.scale.seconds, stage.scale.rows
        with database() as url:
            stage.settle()
            inserts = pgbench(stage, url, f"{INSERT_MANY};", clients=1, seconds=seconds)
            _refill(url, rows)
            stage.settle()
            updates = pgbench(stage, url, UPDATE_MANY, clients=1, seconds=seconds, rows=rows)
        return {"INSERT": inserts.tps, "UPDATE": updates.tps}

    return measure


def _in_path(stage: Stage, sink: Sink, how: str) -> Callable[[], Measured]:
    def measure() -> Measured:
        with stage.database("bench_bare") as url:
            stage.settle()
            return {"INSERT": calling(url, sink, how, clients=_CLIENTS, seconds=stage.scale.seconds)}

    return measure


def _refill(url: str, rows: int) -> None:
    """Fill the table anew, past every trigger."""
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute("SET session_replication_role = replica")
        conn.execute("TRUNCATE shop.orders RESTART IDENTITY")
        conn.execute(FILL, (rows,))
        conn.execute("VACUUM ANALYZE shop.orders")
