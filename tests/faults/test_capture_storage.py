"""What happens to capture below the applications: no disk, no rights, and rows that come by replication."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import Connection, sql

from runtime.capture.health import capture_health
from runtime.ledger.migrate import migrate
from runtime.postgres.account import unprivileged
from runtime.postgres.server import PostgresServer
from runtime.settings import load_settings
from runtime.setup.prepare import apply, prepare
from tests.fresh_database import SHOP, fresh_database
from tests.hooks import count, events, hook, keys

ADD = (
    "INSERT INTO shop.staff SELECT i, repeat('x', 90) || i || '@x.test', 'support'"
    " FROM generate_series(%s::int, %s::int) AS i"
)


@contextmanager
def _small_disk(folder: Path) -> Iterator[Path]:
    """Yield a folder of Postgres' own on a file system of a megabyte; skips where none may be mounted."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode != 0:
        pytest.skip("a small file system can be mounted by root only")
    try:
        account = unprivileged()
        os.chown(folder, account.uid, account.gid)
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
        folder.rmdir()


@pytest.fixture
def small(server: PostgresServer, app: Connection[Any]) -> Iterator[Path]:
    """A tablespace that has no room for much."""
    with _small_disk(server.home / "small") as folder:
        app.execute(sql.SQL("CREATE TABLESPACE small LOCATION {}").format(sql.Literal(str(folder))))
        yield folder
        app.execute("DROP SCHEMA tidings CASCADE")
        app.execute("CHECKPOINT")
        app.execute("DROP TABLESPACE small")


@pytest.mark.parametrize("tables", [("outbox",), ("outbox", "outbox_key")], ids=["keys", "counter"])
def test_a_full_disk_under_capture_costs_a_rung_of_the_ladder_and_fails_no_write(
    app: Connection[Any], small: Path, tables: tuple[str, ...]
) -> None:
    for table in tables:
        app.execute(f"ALTER TABLE tidings.{table} SET TABLESPACE small".encode())
        app.execute(f"ALTER INDEX tidings.{table}_pkey SET TABLESPACE small".encode())
    hook(app, "shop.staff", "email")
    for first in range(1, 10_000, 500):
        app.execute(ADD, (first, first + 499))
    assert app.execute("SELECT count(*) FROM shop.staff").fetchone() == (10_000,)
    known, missed = keys(app), count(app, "missed_1")
    captured = app.execute("SELECT count(*) FROM tidings.outbox").fetchall()[0][0]
    assert 0 < captured < 10_000
    assert captured + len(known) + missed == 10_000
    if tables == ("outbox",):
        assert missed == 0
        assert known[0][2].startswith("53100: could not extend file")
    else:
        assert missed > 0
    assert capture_health(app, 1).red
    subprocess.run(["mount", "-o", "remount,size=9m", str(small)], check=True)
    hook(app, "shop.staff", "email")
    app.execute(ADD, (30_000, 30_000))
    assert [key for _, key, _, _ in events(app)][-1] == {"id": 30_000}


def test_rights_taken_from_the_hooks_owner_cost_rung_after_rung_and_never_a_write(
    server: PostgresServer, tmp_path: Path
) -> None:
    with fresh_database(server, "rights") as url:
        apply(prepare(tmp_path, url))
        with psycopg.connect(load_settings(tmp_path, {}).installer_url, autocommit=True) as installer:
            hook(installer, "shop.staff", "email")
        with psycopg.connect(url, autocommit=True) as app:
            app.execute("REVOKE INSERT ON tidings.outbox FROM tidings_rights_installer")
            app.execute(ADD, (1, 2))
            assert [error[:6] for _, _, error in keys(app)] == ["42501:"] * 2
            app.execute("REVOKE ALL ON tidings.outbox_key FROM tidings_rights_installer")
            app.execute(ADD, (3, 5))
            assert count(app, "missed_1") == 3
            app.execute("REVOKE ALL ON SEQUENCE tidings.missed_1 FROM tidings_rights_installer")
            app.execute(ADD, (6, 6))
            app.execute("REVOKE ALL ON SCHEMA tidings FROM tidings_rights_installer")
            app.execute(ADD, (7, 7))
            assert app.execute("SELECT count(*) FROM shop.staff").fetchone() == (7,)
            assert capture_health(app, 1).red


@pytest.fixture
def replica(server: PostgresServer, tmp_path: Path) -> Iterator[tuple[Connection[Any], Connection[Any]]]:
    """Two databases of a server that can replicate logically: where rows are written, and where a hook sees them."""
    other = PostgresServer(tmp_path / "replica", scratch=True, binaries=server.binaries)
    other.start()
    try:
        with psycopg.connect(other.url, autocommit=True) as conn:
            conn.execute("ALTER SYSTEM SET wal_level = logical")
            conn.execute("CREATE DATABASE there")
        other.stop()
        other.start()
        with (
            psycopg.connect(other.url, autocommit=True) as here,
            psycopg.connect(other.database_url("there"), autocommit=True) as there,
        ):
            for conn in (here, there):
                conn.execute(SHOP.read_bytes())
            migrate(there)
            there.execute(
                "INSERT INTO tidings.project (id, name, system_identifier, database_name, secret)"
                " VALUES (1, 'test', '', '', '')"
            )
            here.execute("CREATE PUBLICATION staff FOR TABLE shop.staff")
            here.execute("SELECT pg_create_logical_replication_slot('staff', 'pgoutput')")
            hook(there, "shop.staff", "email")
            options = "create_slot = false, copy_data = false"
            subscribe = sql.SQL("CREATE SUBSCRIPTION staff CONNECTION {} PUBLICATION staff WITH ({})")
            there.execute(subscribe.format(sql.Literal(other.url), sql.SQL(options)))
            yield here, there
            there.execute("ALTER SUBSCRIPTION staff DISABLE")
            there.execute("ALTER SUBSCRIPTION staff SET (slot_name = NONE)")
            there.execute("DROP SUBSCRIPTION staff")
    finally:
        other.stop()


def test_what_a_subscription_applies_is_not_captured_and_health_says_so(
    replica: tuple[Connection[Any], Connection[Any]],
) -> None:
    here, there = replica
    here.execute(ADD, (1, 3))
    deadline = time.monotonic() + 20
    while there.execute("SELECT count(*) FROM shop.staff").fetchone() != (3,):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    here.execute("UPDATE shop.staff SET role = 'finance' WHERE id = 1")
    while there.execute("SELECT role FROM shop.staff WHERE id = 1").fetchone() != ("finance",):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert (events(there), keys(there)) == ([], [])
    assert [reason[:42] for reason in capture_health(there, 1).reasons] == [
        "shop.staff is filled by a subscription: wh"
    ]
    there.execute("INSERT INTO shop.staff VALUES (4, 'd@x.test', 'support')")
    assert [key for _, key, _, _ in events(there)] == [{"id": 4}]
