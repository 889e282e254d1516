"""One event → many recipients, each a message row, to a provider on this machine in batches of a hundred.

The clock runs from the commit of the campaign until the sink has every mail and the ledger knows it.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from http.client import HTTPConnection
from typing import Any

import psycopg

from bench import workflows
from bench.ours import project
from bench.peer import wait_until
from bench.race import Measured, Variant
from bench.results import Row, at_least, reported, times_best
from bench.rivals import Rival
from bench.sink import Sink
from bench.stage import Stage
from runtime.errors import TidingsError

_SEND = "INSERT INTO shop.campaigns VALUES (1, 'Half price', now())"
_KNOWN = "SELECT count(*) FROM tidings.message_status WHERE status = 'sent'"
_SOON = "SELECT count(*) = 0 FROM tidings.work"
_BATCH = 100

_BY_HAND = "graphile-worker by hand: a ledger in SQL, 1,000 jobs of 100"
RANGES = Rival(_BY_HAND, "graphile.mjs", "campaign_graphile", {"localQueue": 500})
EACH = Rival(
    "graphile-worker, one job and one request each", "graphile.mjs", "campaign_graphile_each", {"localQueue": 500}
)
BATCHES = Rival("pg-boss, one job each, 100 a request", "pgboss.mjs", "campaign_pgboss")
SINGLES = Rival("pg-boss, one job and one request each", "pgboss.mjs", "campaign_pgboss", {"each": True})
SMALL = Rival(f"{_BY_HAND}, a bare mail of 1.3 kB", RANGES.script, RANGES.trigger, RANGES.options)
_BARE = {"from": "Shop <shop@shop.test>", "subject": "Half price", "html": f"<p>{workflows.FIXED}</p>".ljust(1_300)}
_OURS = {
    "fixed body": workflows.FIXED,
    "1 kB rendered for each": workflows.RENDERED,
    "28 kB mail": workflows.HEAVY,
}
_BOUND = "requests alone, no database"


def run(stage: Stage) -> Iterator[Row]:
    """Yield a row for each text. Peers send the very mail that ours sends for the fixed body."""
    with Sink() as sink:
        variants = _variants(stage, sink)
        outcome = stage.race(variants)
    noisy = outcome.loud([variant.name for variant in variants])
    fixed, rendered, heavy = (outcome.of(name, "mails_per_second") for name in _OURS)
    name = f"fan-out to {stage.scale.recipients:,}, fixed body"
    peers = {rival.name: outcome.of(rival.name, "mails_per_second") for rival in _rivals(stage)}
    if peers:
        bare = {SMALL.name: peers.pop(SMALL.name)}
        boss = {BATCHES.name: peers[BATCHES.name]}
        yield Row(f"{name}, beside the same mail", fixed, times_best(1.0), "mails/s", peers, noisy)
        yield Row(f"{name}, beside pg-boss", fixed, times_best(3.0, of="pg-boss"), "mails/s", boss, noisy)
        yield Row(f"{name}, beside a bare mail", fixed, reported(), "mails/s", bare, noisy)
    else:
        yield Row(name, fixed, at_least(1), "mails/s", {}, noisy)
    name = f"fan-out to {stage.scale.recipients:,}, 1 kB of text rendered for each"
    yield Row(name, rendered, at_least(15_000), "mails/s", {}, noisy)
    bound = {_BOUND: outcome.of(_BOUND, "mails_per_second")}
    size = outcome.of("28 kB mail", "bytes_per_mail")[0] / 1000
    name = f"fan-out to {stage.scale.heavy_recipients:,}, a mail of {size:.0f} kB"
    yield Row(name, heavy, reported(), "mails/s", bound, noisy)


def _rivals(stage: Stage) -> list[Rival]:
    return [RANGES, SMALL, EACH, BATCHES, SINGLES] if stage.peers else []


def _variants(stage: Stage, sink: Sink) -> list[Variant]:
    many, few = stage.scale.recipients, stage.scale.heavy_recipients
    counts = {"28 kB mail": few, EACH.name: few, SINGLES.name: few}
    ours = [
        Variant(name, _ours(stage, sink, workflows.campaign(body), counts.get(name, many)))
        for name, body in _OURS.items()
    ]
    bound = Variant(_BOUND, _requests_alone(sink, few))
    if stage.peers is None:
        return [*ours, bound]
    stage.tell("Asking ours for the mail that the peers shall send")
    _ours(stage, sink, workflows.campaign(workflows.FIXED), _BATCH)()
    mail = sink.sample()
    peers = [
        Variant(rival.name, _peer(stage, sink, rival, counts.get(rival.name, many), _BARE if rival is SMALL else mail))
        for rival in _rivals(stage)
    ]
    return [*ours, *peers, bound]


def _ours(stage: Stage, sink: Sink, spec: str, count: int) -> Callable[[], Measured]:
    def measure() -> Measured:
        with (
            stage.database("bench_fanout", customers=count) as url,
            project(url, spec, sink_url=sink.url) as mine,
        ):
            mine.start()
            stage.settle()
            sink.reset()
            began = _commit(url)
            _wait(sink, count)
            wait_until(lambda: bool(mine.says(_SOON)), "work is left over")
            took = time.monotonic() - began
            if mine.says(_KNOWN) != count:
                raise TidingsError("the ledger does not know every mail as sent")
            return _rate(sink, count, took)

    return measure


def _peer(stage: Stage, sink: Sink, rival: Rival, count: int, mail: Mapping[str, Any]) -> Callable[[], Measured]:
    def measure() -> Measured:
        with (
            rival.database(stage, customers=count) as url,
            rival.work(stage, url, sink=sink.url, mail=mail) as process,
        ):
            stage.settle()
            sink.reset()
            began = _commit(url)
            _wait(sink, count)
            wait_until(lambda: process.progress() >= count, "not every job is done")
            return _rate(sink, count, time.monotonic() - began)

    return measure


def _requests_alone(sink: Sink, count: int) -> Callable[[], Measured]:
    """Send requests of the large mail that were made before: what this machine and the sink can do at most."""
    mail = {"from": "Shop <shop@shop.test>", "to": ["a@shop.test"], "subject": "Half price", "html": "x" * 28_000}
    body = _json([mail] * _BATCH)

    def measure() -> Measured:
        sink.reset()
        began = time.monotonic()
        connection = HTTPConnection("127.0.0.1", sink.port)
        for _ in range(count // _BATCH):
            connection.request("POST", "/emails/batch", body)
            connection.getresponse().read()
        connection.close()
        return _rate(sink, count, time.monotonic() - began)

    return measure


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def _commit(url: str) -> float:
    """Write the campaign, and return when it was committed."""
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(_SEND)
        return time.monotonic()


def _wait(sink: Sink, count: int) -> None:
    wait_until(lambda: sink.taken().mails >= count, "not every mail came", pause=0.02)


def _rate(sink: Sink, count: int, took: float) -> Measured:
    """Return mails a second; exactly the right mails must have come."""
    taken = sink.taken()
    if taken.mails != count or taken.bad:
        raise TidingsError(f"{taken.mails} mails came instead of {count}, {taken.bad} requests were wrong")
    return {"mails_per_second": count / took, "bytes_per_mail": taken.bytes / count}
