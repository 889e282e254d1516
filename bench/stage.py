"""Where the jobs play: a Postgres of the benchmark's own, fresh databases on it, and how much of everything."""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import psycopg
from psycopg import Connection, sql

from bench.peer import Peers
from bench.race import Outcome, Variant, race
from runtime.postgres.binaries import find_binaries
from runtime.postgres.folder import postmaster_pid
from runtime.postgres.server import PostgresServer

ROOT = Path(__file__).parents[1]
STATE = ROOT / "bench" / ".state"
SCHEMA = ROOT / "bench" / "shop.sql"


@dataclass(frozen=True)
class Scale:
    """How much of everything."""

    rounds: int = 5
    again: int = 1
    """How often a measurement that others disturbed is repeated."""
    seconds: float = 5.0
    """Of one measurement."""
    rows: int = 100_000
    """In the table whose rows are updated."""
    recipients: int = 100_000
    heavy_recipients: int = 20_000
    """Of the large mail, and where a peer sends one request each."""
    waiting: int = 1_000_000
    idle_seconds: float = 30.0

    def with_rounds(self, rounds: int) -> Self:
        """Return the same with another number of rounds."""
        return replace(self, rounds=rounds)


QUICK = Scale(1, 0, 1.0, 10_000, 10_000, 2_000, 20_000, 5.0)
"""Shows that everything runs; its numbers mean nothing."""
TINY = Scale(1, 0, 0.5, 2_000, 1_000, 500, 2_000, 1.0)
"""For a test."""


class BenchServer(PostgresServer):
    """A durable server with the settings that every variant gets."""

    def _settings(self, port: int) -> dict[str, str]:
        return {
            **super()._settings(port),
            "shared_buffers": "1GB",
            "max_wal_size": "16GB",
            "wal_level": "logical",
            "track_commit_timestamp": "on",
        }


@dataclass(frozen=True)
class Stage:
    """What a job gets."""

    server: PostgresServer
    scale: Scale
    peers: Peers | None
    """None: only ours is measured."""
    tell: Callable[[str], None]

    @property
    def postmaster(self) -> int:
        """Return the server's process."""
        return postmaster_pid(self.server.home / "data") or 0

    @property
    def binaries(self) -> Path:
        """Return the folder of the server's programs, pgbench among them."""
        return self.server.binaries or find_binaries()

    def race(self, variants: Sequence[Variant]) -> Outcome:
        """Let variants take turns."""
        return race(
            variants,
            rounds=self.scale.rounds,
            postmaster=self.postmaster,
            tell=self.tell,
            again=self.scale.again,
        )

    @contextmanager
    def database(self, name: str, *, customers: int = 1_000) -> Iterator[str]:
        """Yield the superuser's URL of a fresh database with the shop; both it and roles made for it end."""
        quoted = sql.Identifier(name)
        with self._admin() as admin:
            before = _roles(admin)
            admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(quoted))
            admin.execute(sql.SQL("CREATE DATABASE {}").format(quoted))
        url = self.server.database_url(name)
        with psycopg.connect(url, autocommit=True) as conn:
            conn.execute(SCHEMA.read_bytes())
            conn.execute(
                "INSERT INTO shop.customers SELECT n, 'customer-' || n || '@shop.test', 'Customer ' || n, 'plus'"
                " FROM generate_series(1, %s) n",
                (customers,),
            )
            conn.execute("VACUUM ANALYZE")
        try:
            yield url
        finally:
            with self._admin() as admin:
                admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(quoted))
                for role in _roles(admin) - before:
                    admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))

    def settle(self) -> None:
        """Write everything to the disk, so that no measurement pays for what came before it."""
        with self._admin() as admin:
            admin.execute("CHECKPOINT")

    def _admin(self) -> Connection[Any]:
        return psycopg.connect(self.server.url, autocommit=True)


@contextmanager
def bench_server() -> Iterator[PostgresServer]:
    """Yield a fresh server of this run's own; it and its data are gone at the end, as are those of runs that died."""
    for left in STATE.glob("*-*"):
        if not Path("/proc", left.name.split("-")[1]).exists():
            _remove(BenchServer(left))
    server = BenchServer(STATE / f"postgres-{os.getpid()}")
    try:
        server.start()
        yield server
    finally:
        _remove(server)


def _remove(server: PostgresServer) -> None:
    server.stop()
    shutil.rmtree(server.home, ignore_errors=True)


def _roles(admin: Connection[Any]) -> set[str]:
    return {row[0] for row in admin.execute("SELECT rolname FROM pg_roles")}
