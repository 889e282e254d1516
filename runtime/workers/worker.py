"""A worker process: Dramatiq threads that perform work. Killing one at any moment loses nothing."""

import gc
import logging
import threading

from dramatiq import Broker, Worker, actor
from psycopg import Error as PostgresError
from psycopg_pool import PoolTimeout

from runtime.engine.engine import Engine
from runtime.engine.perform import perform
from runtime.errors import TidingsError
from runtime.settings import Settings
from runtime.workers.assembly import open_engine
from runtime.workers.broker import ACTOR, QUEUE, Nudger, make_broker
from runtime.workers.watching import watching

_STOP_MILLISECONDS = 20_000
_LOOK_MILLISECONDS = 1_000
"""How often an idle thread looks whether it shall stop; a message wakes it at once."""
_log = logging.getLogger(__name__)


def run_worker(settings: Settings, stop: threading.Event) -> None:
    """Work until `stop` is set; what is being performed then is finished first."""
    broker = make_broker(settings)
    with open_engine(settings, connections=settings.worker_threads + 1) as engine, watching(engine, settings):
        declare_actor(broker, engine)
        threads = settings.worker_threads
        worker = Worker(broker, queues={QUEUE}, worker_threads=threads, worker_timeout=_LOOK_MILLISECONDS)
        gc.freeze()  # what was imported stays: looking through it again and again is a tenth of a large send
        worker.start()
        try:
            stop.wait()
        finally:
            worker.stop(timeout=_STOP_MILLISECONDS)
            broker.close()


def declare_actor(broker: Broker, engine: Engine) -> None:
    """Declare the one actor there is: `perform(work_id)`."""
    nudger = Nudger(broker)

    @actor(broker=broker, queue_name=QUEUE, actor_name=ACTOR)
    def perform_work(work_id: int) -> None:
        perform_chain(engine, work_id, nudger)


def perform_chain(engine: Engine, work_id: int, nudger: Nudger) -> None:
    """Perform work and then the first thing that follows from it, and so on; the others are for other threads.

    A message that was just made is delivered in the same breath. What goes wrong here stays owed in Postgres.
    """
    following = [work_id]
    while following:
        current, *others = following
        nudger.nudge(others)
        try:
            following = perform(engine, current, nudge=nudger.nudge)
        except (PostgresError, PoolTimeout, TidingsError) as error:
            _log.warning("work.interrupted work=%d reason=%s", current, error)
            return
