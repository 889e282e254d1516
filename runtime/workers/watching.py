"""A thread in each dispatcher and worker that looks every few seconds: so an alert needs no process that is dead."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from psycopg import Error as PostgresError
from psycopg_pool import PoolTimeout

from runtime.engine.engine import Engine
from runtime.engine.watch import look
from runtime.errors import TidingsError
from runtime.settings import Settings

WATCH_SECONDS = 10.0
_LONGEST_LOOK = 25.0
"""Delivering an alert may take as long as a provider lets it."""
_log = logging.getLogger(__name__)


@contextmanager
def watching(engine: Engine, settings: Settings) -> Iterator[None]:
    """Look every ten seconds, as long as the context lasts; what goes wrong is logged, and looked at again."""
    stop = threading.Event()
    thread = threading.Thread(target=_watch, args=(engine, settings.alert_contact, stop), name="watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(_LONGEST_LOOK)


def _watch(engine: Engine, contact: str, stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            look(engine, contact=contact)
        except (PostgresError, PoolTimeout, TidingsError) as error:
            _log.warning("watch.interrupted reason=%s", error)
        stop.wait(WATCH_SECONDS)
