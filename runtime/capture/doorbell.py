"""The dispatcher's side of the doorbell: it sleeps, and a hook wakes it. It rings only for a sleeper.

A NOTIFY in each commit would cost the user's application most of its throughput, so hooks ring only while the
dispatcher sleeps. Asleep, it holds an advisory lock exclusively; a hook tries to share that lock until the end of its
transaction, and rings if it can't. As falling asleep needs the lock, it has to wait until every transaction that found
the dispatcher awake is over: none can commit unheard after the last look. While such a transaction lasts, and where
hooks do not ring at all, the dispatcher looks every now and then. When no dispatcher runs, nobody rings.
"""

import select
from datetime import timedelta
from types import TracebackType
from typing import Any, Self

import psycopg
from psycopg import sql

from runtime.capture.hook import BELL_SPACE, bell_channel
from runtime.capture.outbox import LowWater
from runtime.ledger.database import BY_KEY, LEDGER_SETTINGS
from runtime.ledger.queries import load_queries
from runtime.postgres.address import with_options

_FIRST_LOOK, _LONGEST_LOOK = 0.005, 0.1
"""Seconds between two looks while it can't sleep."""
_QUERIES = load_queries("runtime.capture")


class Doorbell:
    """One project's bell, on a direct connection of its own. Not for several threads at once; close it when done."""

    def __init__(self, ledger_url: str, project_id: int) -> None:
        url = with_options(ledger_url, application_name="tidings", **LEDGER_SETTINGS, **BY_KEY)
        self._conn: psycopg.Connection[tuple[Any, ...]] = psycopg.connect(url, autocommit=True)
        self._lock = {"space": BELL_SPACE, "project_id": project_id}
        self._rings = bool(self._ask("bell_works"))
        self._low_water = LowWater()
        self._seen: int | None = None
        """The newest change that was waiting when the caller was last sent to claim."""
        self._conn.execute(sql.SQL("LISTEN {}").format(sql.Identifier(bell_channel(project_id))))

    def wait(self, timeout: timedelta) -> bool:
        """Return True when a change may be waiting, or False after the timeout.

        May return True for nothing. A change that is still there since the last return does not end the wait. Raises
        psycopg.OperationalError when the connection is lost: make a new bell then.
        """
        asleep, look, remaining = False, _FIRST_LOOK, timeout.total_seconds()
        try:
            while remaining > 0:
                if not asleep and self._fall_asleep():
                    asleep = True
                    self._rung(0)  # rings from before: their changes are visible now
                if self._news():
                    return True
                pause = remaining if asleep else min(look, remaining)
                if self._rung(pause):
                    return True
                remaining -= pause
                look = min(look * 2, _LONGEST_LOOK)
            return False
        finally:
            if asleep and not self._conn.closed:
                self._ask("wake_up", **self._lock)

    def close(self) -> None:
        """Close the connection, which lets go of the lock."""
        self._conn.close()

    def __enter__(self) -> Self:
        """Return the bell itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close the connection."""
        self.close()

    def _fall_asleep(self) -> bool:
        return self._rings and bool(self._ask("fall_asleep", **self._lock))

    def _news(self) -> bool:
        newest = self._ask("newest", **self._low_water.advance(self._conn).values())
        known, self._seen = self._seen, newest
        return newest is not None and newest != known

    def _rung(self, seconds: float) -> bool:
        """Sleep until it rings, or the time is over. The system waits: psycopg would look ten times a second."""
        if next(self._conn.notifies(timeout=0, stop_after=1), None) is not None:
            return True
        if not seconds or not select.select([self._conn.fileno()], [], [], seconds)[0]:
            return False
        return next(self._conn.notifies(timeout=0, stop_after=1), None) is not None

    def _ask(self, query: str, **values: Any) -> Any:
        return self._conn.execute(_QUERIES[query], values).fetchall()[0][0]
