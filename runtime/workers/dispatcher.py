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
from runtime.engine.claim import claim
from runtime.engine.engine import Engine
from runtime.engine.sweep import due_work
from runtime.engine.tick import tick
from runtime.errors import TidingsError
from runtime.settings import Settings
from runtime.workers.assembly import open_engine
from runtime.workers.broker import Nudger, make_broker
from runtime.workers.leadership import Leadership

CLAIM_LIMIT = 1_000
TICK_SECONDS = 0.25
SWEEP_SECONDS = 1.0
IDLE = timedelta(milliseconds=500)
STANDBY_SECONDS = 1.0
_LONGEST_PAUSE = 5.0
_log = logging.getLogger(__name__)


def run_dispatcher(settings: Settings, stop: threading.Event) -> None:
    """Lead when nobody else does, until `stop` is set; a database that goes away is waited for."""
    broker = make_broker(settings)
    pause = 0.0
    with open_engine(settings, connections=4) as engine:
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
    with Doorbell(ledger_url, engine.ledger.project_id) as doorbell:
        next_tick = next_sweep = time.monotonic()
        while not stop.is_set():
            claimed = claim(engine, limit=CLAIM_LIMIT)
            nudger.nudge(claimed.work)
            now = time.monotonic()
            if now >= next_tick:
                next_tick = now + TICK_SECONDS
                nudger.nudge(tick(engine))
            if now >= next_sweep:
                next_sweep = now + SWEEP_SECONDS
                leadership.check()
                nudger.nudge(due_work(engine))
            if not claimed.events:
                doorbell.wait(IDLE)
