"""Clones of small hard schemas: what rehearsals are tested on."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg import Connection, sql

from runtime.postgres.server import PostgresServer
from runtime.rehearsal.clone import Cloned, clone
from runtime.rehearsal.databases import ensure_template, scratch_database
from runtime.rehearsal.facts import Facts, read_facts
from runtime.rehearsal.rows import Rows
from runtime.source.catalog import read_catalog
from runtime.spec.schema import AddressKind

AT = datetime(2026, 6, 1, 12, tzinfo=UTC)


@dataclass(frozen=True)
class TestClone:
    """A clone with what is known of it."""

    __test__ = False

    source: Connection[Any]
    conn: Connection[Any]
    cloned: Cloned
    facts: Facts

    def rows(self, **addresses: AddressKind) -> Rows:
        return Rows(self.conn, self.facts, at=AT, addresses={k.replace("__", "."): v for k, v in addresses.items()})

    def values(self, query: str) -> list[tuple[Any, ...]]:
        return self.conn.execute(query).fetchall()


@contextmanager
def clone_of(server: PostgresServer, schema: str, relations: Sequence[str] = ()) -> Iterator[TestClone]:
    """Yield a clone of a schema that is made for it: of the named relations, or of all."""
    with (
        _database(server, schema) as source,
        scratch_database(server, ensure_template(server)) as name,
        psycopg.connect(server.database_url(name), autocommit=True) as conn,
    ):
        wanted = relations or [table.relation for table in read_catalog(source, everything=True).tables]
        cloned = clone(source, conn, wanted)
        conn.execute("SET search_path = pg_catalog, public")
        yield TestClone(source, conn, cloned, read_facts(conn))


@contextmanager
def _database(server: PostgresServer, schema: str) -> Iterator[Connection[Any]]:
    name = sql.Identifier("tidings_test_source")
    with psycopg.connect(server.url, autocommit=True) as admin:
        admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
        admin.execute(sql.SQL("CREATE DATABASE {}").format(name))
        try:
            with psycopg.connect(server.database_url("tidings_test_source"), autocommit=True) as conn:
                conn.execute(schema)
                yield conn
        finally:
            admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
