"""Who leads: whoever holds a session's advisory lock. Postgres frees it the moment that session ends."""

from types import TracebackType
from typing import Any, Self

import psycopg
from psycopg import Connection

from runtime.ledger.queries import load_queries
from runtime.postgres.address import with_options

_QUERIES = load_queries("runtime.workers")
_NOTICED_AT_ONCE = {
    "tcp_keepalives_idle": "1",
    "tcp_keepalives_interval": "1",
    "tcp_keepalives_count": "2",
    "tcp_user_timeout": "3000",
}
"""The server ends a leader's session about three seconds after its machine has vanished, and another one can lead."""


class Leadership:
    """An attempt to lead a project; `won` says whether it succeeded. Leaving the context gives it up."""

    def __init__(self, ledger_url: str, project_id: int) -> None:
        self._url = with_options(ledger_url, application_name="tidings", **_NOTICED_AT_ONCE)
        self._project_id = project_id
        self._conn: Connection[Any] | None = None
        self.won = False

    def __enter__(self) -> Self:
        """Connect and try once, without waiting."""
        self._conn = psycopg.connect(self._url, autocommit=True, connect_timeout=5)
        row = self._conn.execute(_QUERIES["try_lead"], {"project_id": self._project_id}).fetchone()
        self.won = bool(row and row[0])
        return self

    def check(self) -> None:
        """Raise psycopg.OperationalError if the session, and the lock with it, is gone."""
        if self._conn is None:
            raise psycopg.OperationalError("the leader's session was never opened")
        self._conn.execute("SELECT")

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close the session, which frees the lock."""
        if self._conn is not None:
            self._conn.close()
