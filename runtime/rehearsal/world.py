"""A world of its own for a workflow: the user's tables without their rows, hooks, the engine, a clock that is moved.

It is a scratch database. The classes in it are those of production; what is different is the clock and that the only
way out is the inbox.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, TypeVar

import psycopg
from psycopg import Connection
from psycopg.rows import class_row

from runtime.clock import VirtualClock
from runtime.delivery.provider import Delivery
from runtime.engine.drain import drain
from runtime.engine.due import next_due
from runtime.engine.engine import Engine, Memory
from runtime.errors import Permanent
from runtime.ledger.database import Ledger
from runtime.ledger.queries import load_queries
from runtime.postgres.server import PostgresServer
from runtime.publishing.publish import Published, unpublish
from runtime.rehearsal.clone import Cloned, clone
from runtime.rehearsal.databases import ensure_template, scratch_database
from runtime.rehearsal.gate import through_the_gate
from runtime.rehearsal.seen import RunState, Sent, Unsent
from runtime.source.catalog import read_catalog
from runtime.source.reader import Source
from runtime.spec.model import Workflow
from runtime.spec.schema import AddressKind

START = datetime(2026, 6, 1, 12, tzinfo=UTC)
"""When a rehearsal begins, a Monday: the same in every one, so that two reports can be compared."""

_QUERIES = load_queries("runtime.rehearsal", "worlds.sql")
_ENVIRONMENT = "development"
_STANDSTILL = 50
_Row = TypeVar("_Row")


class World:
    """One scratch database with everything in it. Not for more than one thread; close it when done."""

    def __init__(self, server: PostgresServer, name: str, cloned: Cloned, *, zone: str, at: datetime) -> None:
        self.cloned = cloned
        self.clock = VirtualClock(at)
        self._server = server
        self._name = name
        self.zone = zone
        self._begin = at

    @property
    def url(self) -> str:
        """Return the superuser's URL of the world's database."""
        return self._server.database_url(self._name)

    @cached_property
    def connection(self) -> Connection[Any]:
        """The application's connection: autocommit, names resolve in pg_catalog and public."""
        return psycopg.connect(self.url, autocommit=True, options="-c search_path=pg_catalog,public -c timezone=UTC")

    @cached_property
    def engine(self) -> Engine:
        """The engine, on the virtual clock and without any provider."""
        delivery = Delivery(providers={}, sender="Tidings <tidings@localhost>", public_url="http://localhost")
        return Engine(
            ledger=Ledger(self.url, max_size=2),
            source=Source(self.url, max_size=2),
            delivery=delivery,
            environment=_ENVIRONMENT,
            clock=self.clock,
        )

    def publish(self, workflow: Workflow) -> Published:
        """Make a workflow live in this world, as publishing does it anywhere; a new version replaces the one before.

        The approval is of this world only: nobody outside it sees or can use it. Raises Invalid with every problem.
        """
        return through_the_gate(self.engine.ledger, self.engine.source, self.url, workflow, self.clock)

    def unpublish(self, name: str) -> None:
        """End a workflow's live version in this world."""
        unpublish(self.engine.ledger, self.url, name, clock=self.clock)

    def write(self, sql: str) -> None:
        """Do what the application does, one or more statements, and let the engine do everything that is due now.

        `BEGIN; …; ROLLBACK` is one of the things an application does. Raises psycopg's errors.
        """
        try:
            self.connection.execute(sql)
        finally:
            if self.connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
                self.connection.rollback()
        drain(self.engine)

    def seed(self, sql: str) -> None:
        """Write what was there before the scenario began: no workflow hears of it."""
        with self.connection.transaction():
            self.connection.execute("SET CONSTRAINTS ALL DEFERRED")
            if sql:
                self.connection.execute(sql)
            self.connection.execute(_QUERIES["forget_changes"])

    def advance(self, to: datetime | timedelta) -> None:
        """Let time pass, from one due instant to the next, and do at each what is due then."""
        end = self.clock.now() + to if isinstance(to, timedelta) else to
        still = 0
        while (due := next_due(self.engine)) is not None and due <= end:
            still = still + 1 if due <= self.clock.now() else 0
            if still > _STANDSTILL:
                raise Permanent(f"Something stays due at {due.isoformat()} however often it is done. This is a bug.")
            self._stand_at(max(due, self.clock.now()))
            drain(self.engine)
        self._stand_at(end)
        drain(self.engine)

    def next_due(self) -> datetime | None:
        """Return when something is due next, after now."""
        return next_due(self.engine)

    def sent(self) -> list[Sent]:
        """Return every message so far, in the order in which they arrived."""
        return self._rows("sent", Sent)

    def unsent(self) -> list[Unsent]:
        """Return everything so far that did not become a message, with its reason."""
        return self._rows("unsent", Unsent)

    def runs(self) -> list[RunState]:
        """Return every run so far."""
        return self._rows("runs", RunState)

    def begin_again(self) -> None:
        """Empty every table and go back to the instant at which this world began; what is published stays live."""
        self.clock = VirtualClock(self._begin)
        self.connection.execute(_QUERIES["empty"])
        self.__dict__["engine"] = replace(self.engine, clock=self.clock, memory=Memory())
        self._stand_at(self._begin)

    @contextmanager
    def copied(self) -> Iterator["World"]:
        """Yield a world that is a copy of this one as it is now, at the instant at which this one began.

        This one's connections are closed, because Postgres copies only databases that nobody is connected to; they
        open again when they are needed.
        """
        self.close()
        with scratch_database(self._server, self._name) as name:
            world = World(self._server, name, self.cloned, zone=self.zone, at=self._begin)
            try:
                world.move_in()
                yield world
            finally:
                world.close()

    def move_in(self) -> None:
        """Bind the ledger to this database, and set its clock."""
        self.connection.execute(_QUERIES["project"], {"environment": _ENVIRONMENT, "zone": self.zone})
        self._stand_at(self.clock.now())

    def close(self) -> None:
        """Close every connection."""
        if engine := self.__dict__.pop("engine", None):
            engine.ledger.close()
            engine.source.close()
        if connection := self.__dict__.pop("connection", None):
            connection.close()

    def approve(self, addresses: Mapping[str, AddressKind], contacts: Mapping[str, Mapping[str, str]]) -> None:
        """Copy what a person approved: every cloned table, these address columns and contacts."""
        run = self.connection.execute
        run(_QUERIES["approve_tables"], {"relations": list(self.cloned.relations)})
        parts = [(*path.rsplit(".", 1), kind.value) for path, kind in addresses.items()]
        relations, names, kinds = ([part[place] for part in parts] for place in range(3))
        run(_QUERIES["approve_addresses"], {"relations": relations, "names": names, "kinds": kinds})
        values = {
            "names": list(contacts),
            "kinds": [contact["kind"] for contact in contacts.values()],
            "addresses": [contact["address"] for contact in contacts.values()],
        }
        run(_QUERIES["register_contacts"], values)

    def _stand_at(self, instant: datetime) -> None:
        self.clock.advance_to(instant)
        self.connection.execute(_QUERIES["set_clock"], {"at": instant})

    def _rows(self, query: str, kind: type[_Row]) -> list[_Row]:
        with self.connection.cursor(row_factory=class_row(kind)) as cursor:
            return cursor.execute(_QUERIES[query]).fetchall()


@contextmanager
def open_world(
    scratch: PostgresServer,
    source: Source | str,
    relations: Sequence[str] = (),
    *,
    zone: str = "UTC",
    at: datetime = START,
    addresses: Mapping[str, AddressKind] | None = None,
    contacts: Mapping[str, Mapping[str, str]] | None = None,
) -> Iterator[World]:
    """Yield a world with empty copies of the relations (schema.table) and of all they need; without any, of everything.

    `source` is the database whose tables are copied, or its URL; only its catalog is read. `scratch` must run. The
    world and its database are gone at the end.
    """
    with (
        scratch_database(scratch, ensure_template(scratch)) as name,
        psycopg.connect(scratch.database_url(name), autocommit=True) as target,
    ):
        with _reading(source) as reader:
            wanted = relations or [table.relation for table in read_catalog(reader, everything=True).tables]
            cloned = clone(reader, target, wanted)
        world = World(scratch, name, cloned, zone=zone, at=at)
        target.close()
        try:
            world.move_in()
            world.approve(addresses or {}, contacts or {})
            yield world
        finally:
            world.close()


@contextmanager
def _reading(source: Source | str) -> Iterator[Connection[Any]]:
    if isinstance(source, Source):
        with source.read() as conn:
            yield conn
    else:
        with Source(source, max_size=1) as own, own.read() as conn:
            yield conn
