"""Reads the user's database: short read-only transactions as the reader role, never anything else."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from types import TracebackType
from typing import Any, LiteralString, Self

from psycopg import Connection, Error, sql
from psycopg_pool import ConnectionPool

from runtime.postgres.address import with_options
from runtime.postgres.alive import still_there

SEARCH_PATH = "pg_catalog, public"
_LOCK_TIMEOUT = timedelta(seconds=1)
_SETTINGS: LiteralString = (  # a query, after which no transaction can be made writable
    "SELECT set_config('search_path', {search_path}, true), set_config('timezone', 'UTC', true),"
    " set_config('statement_timeout', {statement}, true), set_config('lock_timeout', {lock}, true)"
)


class Source:
    """A pool of reader connections. Safe to share between threads; close it when done."""

    def __init__(
        self, reader_url: str, *, min_size: int = 0, max_size: int = 4, timeout: timedelta = timedelta(seconds=10)
    ) -> None:
        self.timeout = timeout
        self._settings = sql.SQL(_SETTINGS).format(
            search_path=sql.Literal(SEARCH_PATH),
            statement=sql.Literal(_milliseconds(timeout)),
            lock=sql.Literal(_milliseconds(_LOCK_TIMEOUT)),
        )
        self._begin = sql.SQL("BEGIN READ ONLY; {}; SAVEPOINT attempt").format(self._settings)
        self.pool: ConnectionPool[Connection[tuple[Any, ...]]] = ConnectionPool(
            with_options(reader_url, application_name="tidings"),
            min_size=min_size,
            max_size=max_size,
            open=True,
            timeout=30,
            configure=_read_only,
            check=still_there,
        )

    @contextmanager
    def read(self) -> Iterator[Connection[tuple[Any, ...]]]:
        """Yield a connection in a read-only transaction that is always rolled back, so nothing set in it outlives it.

        Every statement is cancelled after `timeout`; names resolve in pg_catalog and public; the zone is UTC.
        Row security applies as it does to the reader role.
        """
        with self.pool.connection() as connection, connection.transaction(force_rollback=True):
            connection.execute(self._settings)
            yield connection

    @contextmanager
    def asking(self) -> Iterator[Connection[tuple[Any, ...]]]:
        """Yield such a connection for questions that may fail alone: each stands in `attempt`.

        All that has to be said before the first one is said in one round trip.
        """
        with self.pool.connection() as connection:
            connection.execute(self._begin)
            try:
                yield connection
            finally:
                with suppress(Error):
                    connection.execute("ROLLBACK")

    def close(self) -> None:
        """Close every connection."""
        self.pool.close()

    def __enter__(self) -> Self:
        """Return the source itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close every connection."""
        self.close()


@contextmanager
def attempt(connection: Connection[Any]) -> Iterator[None]:
    """Undo what an error of Postgres breaks off, so that the transaction of `asking` can go on."""
    connection.execute("RELEASE SAVEPOINT attempt; SAVEPOINT attempt")
    try:
        yield
    except Error:
        connection.execute("ROLLBACK TO SAVEPOINT attempt")
        raise


def _read_only(connection: Connection[tuple[Any, ...]]) -> None:
    """Make every transaction read-only by how it begins, and work behind a pooler that shares server connections."""
    connection.read_only = True
    connection.prepare_threshold = None
    connection.autocommit = True


def _milliseconds(duration: timedelta) -> str:
    return str(max(1, int(duration.total_seconds() * 1000)))
