"""The database that Tidings brings along when it is given none: one folder in its home."""

from collections.abc import Callable
from pathlib import Path

import psycopg
from psycopg import sql

from runtime.postgres.server import PostgresServer
from runtime.settings import EMBEDDED_FOLDER

DATABASE = "app"


def embedded_server(home: Path) -> PostgresServer:
    """Return the server of a home, running or not."""
    return PostgresServer(home / EMBEDDED_FOLDER)


def start_embedded(home: Path, progress: Callable[[str], None]) -> str:
    """Start the home's server, create the application's database in it, and return the owner's URL. Idempotent."""
    server = embedded_server(home)
    server.start(progress)
    with psycopg.connect(server.url, autocommit=True) as conn:
        if conn.execute("SELECT FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone() is None:
            conn.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
    return server.database_url(DATABASE)
