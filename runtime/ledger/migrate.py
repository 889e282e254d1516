"""Brings schema `tidings` up to date: numbered SQL files, each in one transaction, never edited once released."""

from importlib import resources
from typing import Any, LiteralString

from psycopg import Connection, sql


def migrate(connection: Connection[Any], *, owner: str = "") -> list[str]:
    """Apply the migrations not yet applied, and return their names. Idempotent and safe to run twice at once.

    Runs on an autocommit connection of a role that may create a schema; with `owner`, that role owns what is made.
    """
    applied: list[str] = []
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(hashtext('tidings.migrate'))")
        if not _exists(connection, "SELECT to_regnamespace('tidings') IS NOT NULL"):
            whose = sql.SQL(" AUTHORIZATION {}").format(sql.Identifier(owner)) if owner else sql.SQL("")
            connection.execute(sql.SQL("CREATE SCHEMA tidings{}").format(whose))
        if owner:
            connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(owner)))
        done = _numbers(connection)
        for number, name, text in _files():
            if number not in done:
                connection.execute(text)
                connection.execute("INSERT INTO tidings.migration (number, name) VALUES (%s, %s)", (number, name))
                applied.append(name)
    return applied


def pending(connection: Connection[Any]) -> list[str]:
    """Return the names of the migrations not yet applied."""
    done = _numbers(connection)
    return [name for number, name, _ in _files() if number not in done]


def _files() -> list[tuple[int, str, LiteralString]]:
    folder = resources.files("runtime.ledger").joinpath("migrations")
    files = sorted((entry for entry in folder.iterdir() if entry.name.endswith(".sql")), key=lambda entry: entry.name)
    return [(int(file.name[:4]), file.name[:-4], file.read_text(encoding="utf-8")) for file in files]


def _numbers(connection: Connection[Any]) -> set[int]:
    if not _exists(connection, "SELECT to_regclass('tidings.migration') IS NOT NULL"):
        return set()
    return {row[0] for row in connection.execute("SELECT number FROM tidings.migration")}


def _exists(connection: Connection[Any], question: LiteralString) -> bool:
    row = connection.execute(question).fetchone()
    return bool(row and row[0])
