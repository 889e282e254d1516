"""The leader's upkeep, in a thread of its own: no claim waits for a count."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from psycopg import Error as PostgresError
from psycopg_pool import PoolTimeout

from runtime.engine.engine import Engine
from runtime.engine.upkeep import Upkeep
from runtime.errors import TidingsError

_PAUSE = 5.0
"""Seconds between two turns; where more is to do, a turn takes a tenth of the time."""
_LONGEST_PAUSE = 60.0
_PATIENCE = 1.0
"""Seconds that the end waits for a turn: who leads next need not, for two turns at once are safe."""
_log = logging.getLogger(__name__)


@contextmanager
def upkeep(engine: Engine) -> Iterator[None]:
    """Keep the project up for as long as the caller leads. What goes wrong is tried again later, and stops nobody."""
    done = threading.Event()
    thread = threading.Thread(target=_keep_up, args=(engine, done), name="upkeep", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(timeout=_PATIENCE)


def _keep_up(engine: Engine, done: threading.Event) -> None:
    kept, pause = Upkeep(engine), 0.0
    while not done.wait(pause):
        try:
            kept.turn()
            pause = _PAUSE
        except (PostgresError, PoolTimeout, TidingsError) as error:
            pause = min(_LONGEST_PAUSE, max(_PAUSE, pause * 2))
            _log.warning("upkeep.interrupted retry_in=%.0fs reason=%s", pause, error)
