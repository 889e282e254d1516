"""Databases on the scratch server: a template with the ledger's schema, and copies that live as long as a rehearsal."""

import hashlib
import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from typing import Any, LiteralString

import psycopg
from psycopg import Connection, sql

from runtime.ledger.migrate import migrate
from runtime.ledger.queries import load_queries
from runtime.postgres.server import PostgresServer

_QUERIES = load_queries("runtime.rehearsal", "worlds.sql")
_PREFIX = "tidings_world_"
_numbers = itertools.count(1)


def ensure_template(server: PostgresServer) -> str:
    """Return the name of a database with an empty ledger and the virtual clock, made on first use. Safe at once."""
    name = f"tidings_template_{_version()}"
    with _admin(server) as admin:
        admin.execute(_QUERIES["own"], {"name": "tidings_template"})
        if not _exists(admin, name):
            _build(server, admin, name)
    return name


@contextmanager
def scratch_database(server: PostgresServer, template: str) -> Iterator[str]:
    """Yield the name of a fresh copy of a template database; it is dropped at the end, whoever is still connected.

    What processes that died left behind is dropped first.
    """
    name = f"{_PREFIX}{os.getpid()}_{next(_numbers)}"
    with _admin(server) as admin:
        _sweep(admin)
        admin.execute(_QUERIES["own"], {"name": name})
        _create(admin, name, template)
        try:
            yield name
        finally:
            _drop(admin, name)


def _version() -> str:
    """Return a digest of everything a template is built from."""
    folder = resources.files("runtime.ledger").joinpath("migrations")
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)
    texts = [file.read_text(encoding="utf-8") for file in files] + [_QUERIES["template"]]
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]


def _build(server: PostgresServer, admin: Connection[Any], name: str) -> None:
    """Build under another name first: a template that is half built must never be found."""
    unfinished = f"{name}_unfinished"
    _drop(admin, unfinished)
    _create(admin, unfinished, "template0")
    with psycopg.connect(server.database_url(unfinished), autocommit=True) as conn:
        migrate(conn)
        conn.execute(_QUERIES["template"])
    rename = sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(unfinished), sql.Identifier(name))
    admin.execute(rename)


@contextmanager
def _admin(server: PostgresServer) -> Iterator[Connection[Any]]:
    with psycopg.connect(server.url, autocommit=True, application_name="tidings rehearsal") as admin:
        yield admin


def _sweep(admin: Connection[Any]) -> None:
    for (name,) in admin.execute(_QUERIES["abandoned"]).fetchall():
        _drop(admin, name)
        admin.execute(_QUERIES["disown"], {"name": name})


def _create(admin: Connection[Any], name: str, template: str) -> None:
    _run(admin, "CREATE DATABASE {} TEMPLATE {}", name, template)


def _drop(admin: Connection[Any], name: str) -> None:
    _run(admin, "DROP DATABASE IF EXISTS {} WITH (FORCE)", name)


def _run(admin: Connection[Any], statement: LiteralString, *names: str) -> None:
    admin.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


def _exists(admin: Connection[Any], name: str) -> bool:
    row = admin.execute(_QUERIES["template_exists"], {"name": name}).fetchone()
    return bool(row and row[0])
