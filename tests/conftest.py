"""Fixtures every suite shares: one scratch Postgres per test session, one database per test."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import Connection, sql

from runtime.clock import VirtualClock
from runtime.ledger.database import Ledger
from runtime.ledger.migrate import migrate
from runtime.postgres.binaries import find_binaries
from runtime.postgres.folder import memory_folder
from runtime.postgres.server import PostgresServer
from runtime.source.reader import Source

SHOP = Path(__file__).parents[1] / "examples" / "shop.sql"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let continuous integration choose which Postgres the tests run on."""
    parser.addoption("--postgres", choices=["system", "wheel"], help="Default: the system's, else the wheel's.")


@pytest.fixture(scope="session")
def server(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A scratch Postgres with a template database that holds the shop and an empty ledger."""
    which = pytestconfig.getoption("--postgres")
    binaries = find_binaries() if which is None else find_binaries(wheel=which == "wheel")
    folder = memory_folder() or tmp_path_factory.getbasetemp()
    with tempfile.TemporaryDirectory(prefix="tidings-tests-", dir=folder, ignore_cleanup_errors=True) as home:
        yield from _scratch(PostgresServer(Path(home) / "postgres", scratch=True, binaries=binaries))


def _scratch(server: PostgresServer) -> Iterator[PostgresServer]:
    server.start()
    try:
        with psycopg.connect(server.url, autocommit=True) as admin:
            admin.execute("CREATE DATABASE shop_template")
        with psycopg.connect(server.database_url("shop_template"), autocommit=True) as template:
            template.execute(SHOP.read_bytes())
            migrate(template)
        yield server
    finally:
        server.stop()


@pytest.fixture
def database(server: PostgresServer, request: pytest.FixtureRequest) -> Iterator[str]:
    """The superuser's URL of a fresh database with the shop and a project of id 1 in an empty ledger."""
    name = f"t{abs(hash(request.node.nodeid)) % 10**12}"
    with psycopg.connect(server.url, autocommit=True) as admin:
        admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
        admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE shop_template").format(sql.Identifier(name)))
    url = server.database_url(name)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO tidings.project (id, name, system_identifier, database_name, secret, brake_per_hour)"
            " SELECT 1, 'test', system_identifier::text, current_database(), '\\x01', 0 FROM pg_control_system()"
        )
    yield url
    with psycopg.connect(server.url, autocommit=True) as admin:
        admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def app(database: str) -> Iterator[Connection[Any]]:
    """The user's application: an autocommit connection that only writes its own tables."""
    with psycopg.connect(database, autocommit=True) as connection:
        yield connection


@pytest.fixture
def approved(app: Connection[Any]) -> None:
    """A person's approvals: every table of the shop, its address columns, and the contacts ops and alerts."""
    app.execute(
        "INSERT INTO tidings.approved_table SELECT 1, 'shop.' || tablename FROM pg_tables WHERE schemaname = 'shop';"
        "INSERT INTO tidings.address_column VALUES (1, 'shop.customers', 'email', 'email'),"
        " (1, 'shop.customers', 'slack_handle', 'slack'), (1, 'shop.staff', 'email', 'email');"
        "INSERT INTO tidings.contact (project_id, name, kind, address)"
        " VALUES (1, 'ops', 'email', 'ops@x.test'), (1, 'alerts', 'slack', '#alerts')"
    )


@pytest.fixture
def source(database: str) -> Iterator[Source]:
    """The user's database as Tidings reads it."""
    with Source(database) as source:
        yield source


@pytest.fixture
def ledger(database: str) -> Iterator[Ledger]:
    """The ledger of the test's project."""
    with Ledger(database) as ledger:
        yield ledger


@pytest.fixture
def clock() -> VirtualClock:
    """A virtual clock at 2026-06-01T12:00:00Z, a Monday."""
    return VirtualClock()
