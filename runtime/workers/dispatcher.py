"""The dispatcher: one leader a project that claims changes, releases timers, runs schedules, and sweeps up.

Any number of dispatchers may run; the one that holds the advisory lock leads. Each stage is one transaction that moves
rows in Postgres from owed to done, so a leader that dies between two stages, or two that lead at once, lose and double
nothing.
"""

import logging
import random
import threading
import time
from datetime import timedelta

import psycopg
from psycopg_pool import PoolTimeout

from runtime.capture.doorbell import Doorbell
from runtime.capture.room import Room
from runtime.engine.claim import claim
from runtime.engine.due import until_next_due
from runtime.engine.engine import Engine
from runtime.engine.sweep import due_work
from runtime.engine.tick import tick
from runtime.engine.watch import beat
from runtime.errors import TidingsError
from runtime.settings import Settings
from runtime.workers.assembly import open_engine
from runtime.workers.broker import Nudger, make_broker
from runtime.workers.leadership import Leadership
from runtime.workers.upkeep import upkeep
from runtime.workers.watching import watching

CLAIM_LIMIT = 1_000
FEW, BUSY_SECONDS, GATHER_SECONDS = 50, 0.005, 0.003
TICK_SECONDS, SOONEST_TICK_SECONDS = 1.0, 0.1
SWEEP_SECONDS = 1.0
BEAT_SECONDS = 5.0
IDLE_SECONDS = 0.5
STANDBY_SECONDS = 1.0
_LONGEST_PAUSE = 5.0
_log = logging.getLogger(__name__)


def run_dispatcher(settings: Settings, stop: threading.Event) -> None:
    """Lead when nobody else does, until `stop` is set; a database that goes away is waited for."""
    broker = make_broker(settings)
    pause = 0.0
    with open_engine(settings, connections=4) as engine, watching(engine, settings):
        while not stop.wait(pause):
            try:
                with Leadership(settings.ledger_url, settings.project_id) as leadership:
                    if not leadership.won:
                        pause = STANDBY_SECONDS
                        continue
                    _log.info("leader.elected project=%d", settings.project_id)
                    lead(engine, Nudger(broker), leadership, settings.ledger_url, stop)
                    pause = 0.0
            except (psycopg.OperationalError, PoolTimeout, TidingsError) as error:
                pause = min(_LONGEST_PAUSE, max(0.25, pause * 2)) * random.uniform(0.8, 1.2)  # noqa: S311  # jitter
                _log.warning("leader.interrupted retry_in=%.1fs reason=%s", pause, error)
    broker.close()


def lead(engine: Engine, nudger: Nudger, leadership: Leadership, ledger_url: str, stop: threading.Event) -> None:
    """Do the leader's work in turn until stopped or the leadership is lost."""
    with Doorbell(ledger_url, engine.ledger.project_id) as doorbell, upkeep(engine):
        room = Room(engine.ledger.project_id)
        next_tick = next_sweep = next_beat = time.monotonic()
        news, claimed_at = True, -1.0
        while not stop.is_set():
            if news:
                before, claimed_at = claimed_at, time.monotonic()
                claimed = claim(engine, limit=CLAIM_LIMIT)
                nudger.nudge(claimed.work)
                news = claimed.events >= CLAIM_LIMIT
                if claimed.events < FEW and claimed_at - before < BUSY_SECONDS:
                    stop.wait(GATHER_SECONDS)  # many small commits: a few of them together cost hardly more than one
            now = time.monotonic()
            if now >= next_tick:
                nudger.nudge(tick(engine))
                next_tick = now + until_next_tick(engine)
            if now >= next_sweep:
                next_sweep = now + SWEEP_SECONDS
                leadership.check()
                nudger.nudge(due_work(engine))
                keep_room(engine, room)
                news = True  # what another claimer held may be free
            if now >= next_beat:
                next_beat = now + BEAT_SECONDS
                beat(engine)
            if not news:
                rest = min(next_tick, next_sweep, next_beat) - time.monotonic()
                news = doorbell.wait(timedelta(seconds=min(max(rest, 0.0), IDLE_SECONDS)))


def until_next_tick(engine: Engine) -> float:
    """Return for how long nothing is due, as far as is known; what comes up meanwhile waits TICK_SECONDS at most."""
    rest = until_next_due(engine)
    return TICK_SECONDS if rest is None else min(TICK_SECONDS, max(SOONEST_TICK_SECONDS, rest.total_seconds()))


def keep_room(engine: Engine, room: Room) -> None:
    """Let hooks go on keeping changes as far as they are drained."""
    with engine.ledger.transaction() as conn:
        room.keep(conn, engine.memory.low_water(conn))
