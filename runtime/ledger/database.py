"""The ledger's connections: short transactions on schema `tidings`, as the ledger role."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

from psycopg import Connection
from psycopg_pool import ConnectionPool

from runtime.postgres.address import with_options

LEDGER_SETTINGS = {"search_path": "pg_catalog", "timezone": "UTC", "statement_timeout": "60s"}


class Ledger:
    """A pool of ledger connections for one project. Safe to share between threads; close it when done."""

    def __init__(self, url: str, project_id: int = 1, *, max_size: int = 8) -> None:
        self.url = url
        self.project_id = project_id
        self.pool: ConnectionPool[Connection[tuple[Any, ...]]] = ConnectionPool(
            with_options(url, application_name="tidings", **LEDGER_SETTINGS),
            min_size=0,
            max_size=max_size,
            open=True,
            timeout=30,
            kwargs={"autocommit": True},
            check=ConnectionPool.check_connection,
        )

    @contextmanager
    def transaction(self) -> Iterator[Connection[tuple[Any, ...]]]:
        """Yield a connection inside a transaction: committed at the end, rolled back on any exception."""
        with self.pool.connection() as connection, connection.transaction():
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
