"""Reads the user's database: short read-only transactions as the reader role, never anything else."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import TracebackType
from typing import Any, Self

from psycopg import Connection
from psycopg_pool import ConnectionPool

from runtime.postgres.address import with_options

SEARCH_PATH = "pg_catalog, public"
_LOCK_TIMEOUT = timedelta(seconds=1)


class Source:
    """A pool of reader connections. Safe to share between threads; close it when done."""

    def __init__(self, reader_url: str, *, max_size: int = 4, timeout: timedelta = timedelta(seconds=10)) -> None:
        self.timeout = timeout
        self.pool: ConnectionPool[Connection[tuple[Any, ...]]] = ConnectionPool(
            with_options(reader_url, application_name="tidings"),
            min_size=0,
            max_size=max_size,
            open=True,
            timeout=30,
            configure=_read_only,
            check=ConnectionPool.check_connection,
        )

    @contextmanager
    def read(self) -> Iterator[Connection[tuple[Any, ...]]]:
        """Yield a connection in a read-only transaction that is always rolled back, so nothing set in it outlives it.

        Every statement is cancelled after `timeout`; names resolve in pg_catalog and public; the zone is UTC.
        Row security applies as it does to the reader role.
        """
        with self.pool.connection() as connection, connection.transaction(force_rollback=True):
            connection.execute(
                "SELECT set_config('search_path', %s, true), set_config('timezone', 'UTC', true),"
                " set_config('statement_timeout', %s, true), set_config('lock_timeout', %s, true)",
                (SEARCH_PATH, _milliseconds(self.timeout), _milliseconds(_LOCK_TIMEOUT)),
            )
            yield connection

    def close(self) -> None:
        """Close every connection."""
        self.pool.close()

    def __enter__(self) -> Self:
        """Return the source itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close every connection."""
        self.close()


def _read_only(connection: Connection[tuple[Any, ...]]) -> None:
    """Make every transaction read-only by how it begins, and work behind a pooler that shares server connections."""
    connection.read_only = True
    connection.prepare_threshold = None
    connection.autocommit = True


def _milliseconds(duration: timedelta) -> str:
    return str(max(1, int(duration.total_seconds() * 1000)))
