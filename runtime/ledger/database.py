"""The ledger's connections: short transactions on schema `tidings`, as the ledger role."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any, Self

from psycopg import Connection, Error
from psycopg_pool import ConnectionPool

from runtime.postgres.address import with_options
from runtime.postgres.alive import still_there

LEDGER_SETTINGS = {"search_path": "pg_catalog", "timezone": "UTC", "statement_timeout": "60s"}
BY_KEY = {"enable_seqscan": "off", "enable_bitmapscan": "off", "jit": "off"}
"""For processes whose every statement goes from a few keys to their rows, or takes the first few of an index. Their
tables grow by thousands of rows a second: a plan kept from when a table was nearly empty would read all of it."""


class Ledger:
    """A pool of ledger connections for one project. Safe to share between threads; close it when done."""

    def __init__(
        self, url: str, project_id: int = 1, *, max_size: int = 8, min_size: int = 0, settings: Mapping[str, str] = {}
    ) -> None:
        self.url = url
        self.project_id = project_id
        self.pool: ConnectionPool[Connection[tuple[Any, ...]]] = ConnectionPool(
            with_options(url, application_name="tidings", **LEDGER_SETTINGS, **settings),
            min_size=min_size,
            max_size=max_size,
            open=True,
            timeout=30,
            kwargs={"autocommit": True},
            check=still_there,
        )

    @contextmanager
    def transaction(self) -> Iterator[Connection[tuple[Any, ...]]]:
        """Yield a connection inside a transaction: committed at the end, rolled back on any exception."""
        with self.pool.connection() as connection, connection.transaction():
            yield connection

    @contextmanager
    def pipelined(self) -> Iterator[Connection[tuple[Any, ...]]]:
        """Yield a connection inside such a transaction whose statements do not wait for each other.

        Whoever fetches rows waits, for these and all before; what nobody fetches travels with the next, or with the
        commit. So an error may show at a later statement, or at the end. `rowcount` is known only after a fetch.
        """
        with self.pool.connection() as connection, connection.pipeline() as pipeline:
            try:
                connection.execute("BEGIN")
                yield connection
                connection.execute("COMMIT")
                pipeline.sync()
            except BaseException:
                with suppress(Error):
                    pipeline.sync()
                with suppress(Error):
                    connection.execute("ROLLBACK")
                    pipeline.sync()
                raise

    @contextmanager
    def together(self) -> Iterator[Connection[tuple[Any, ...]]]:
        """Yield a connection whose statements travel together; the end commits them, even after an error of ours.

        So only for what may be committed as it is. An error of Postgres undoes all of them.
        """
        with self.pool.connection() as connection, connection.pipeline():
            yield connection

    @contextmanager
    def connection(self) -> Iterator[Connection[tuple[Any, ...]]]:
        """Yield an autocommit connection, for single statements."""
        with self.pool.connection() as connection:
            yield connection

    def close(self) -> None:
        """Close every connection."""
        self.pool.close()

    def __enter__(self) -> Self:
        """Return the ledger itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close every connection."""
        self.close()
