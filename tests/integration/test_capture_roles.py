"""The three roles as `tidings init` makes them: nobody needs more than they have for capture to work."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from runtime.capture.health import capture_health
from runtime.capture.install import install_hook
from runtime.capture.outbox import LowWater, lock_batch, remove
from runtime.errors import NotAllowed
from runtime.postgres.address import with_login
from runtime.postgres.server import PostgresServer
from runtime.settings import Settings, load_settings
from runtime.setup.prepare import apply, prepare
from runtime.setup.remove import find_remains, refuse_removal
from runtime.setup.remove import remove as uninstall
from tests.fresh_database import fresh_database, snapshot
from tests.hooks import hook, table_of, watch

CLERK = """
CREATE ROLE clerk LOGIN PASSWORD 'clerk'; GRANT USAGE ON SCHEMA shop TO clerk; ALTER TABLE shop.orders OWNER TO clerk;
ALTER TABLE shop.customers OWNER TO clerk; INSERT INTO shop.customers (id, email) VALUES (1, 'ada@example.org');
CREATE TABLE shop.visits (id int, at date) PARTITION BY RANGE (at);
CREATE TABLE shop.visits_2026 PARTITION OF shop.visits FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')
    PARTITION BY RANGE (at);
CREATE TABLE shop.visits_2026_1 PARTITION OF shop.visits_2026 FOR VALUES FROM ('2026-01-01') TO ('2026-07-01');
"""
ORDERS = "INSERT INTO shop.orders SELECT i, 1, 'paid', 5, 'EUR', now() FROM generate_series(1, 3) AS i"


@pytest.fixture
def url(server: PostgresServer) -> Iterator[str]:
    with fresh_database(server, "roles") as url:
        with psycopg.connect(url, autocommit=True) as conn:
            conn.execute(CLERK)
        yield url


@pytest.fixture
def settings(url: str, tmp_path: Path) -> Settings:
    apply(prepare(tmp_path, url))
    return load_settings(tmp_path, {})


def test_each_role_can_do_its_part_and_no_more(settings: Settings, url: str) -> None:
    with psycopg.connect(settings.installer_url, autocommit=True) as installer:
        hook(installer, "shop.orders", "status")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            installer.execute("SELECT FROM shop.orders")
    with psycopg.connect(with_login(url, "clerk", "clerk"), autocommit=True) as clerk:
        clerk.execute(ORDERS)
        clerk.execute("UPDATE shop.orders SET status = 'shipped' WHERE id = 2")
        clerk.execute("DELETE FROM shop.orders WHERE id = 3")
        clerk.execute("ALTER TABLE shop.orders RENAME id TO number")
        clerk.execute("UPDATE shop.orders SET status = 'paid'")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            clerk.execute("SELECT FROM tidings.outbox")
    with psycopg.connect(settings.ledger_url) as ledger:
        mark = LowWater()
        batch = lock_batch(ledger, limit=10, low_water=mark.advance(ledger))
        assert [(captured.hook_id, captured.generation) for captured in batch] == [(1, 1)] * 5
        assert remove(ledger, [captured.id for captured in batch]) == 5
        ledger.commit()
        health = capture_health(ledger, 1)
        assert (health.red, health.missed, health.keys_only, health.waiting) == (True, 2, 0, 0)
    with psycopg.connect(settings.reader_url, autocommit=True) as reader:
        for table in ("outbox", "outbox_key", "hook"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                reader.execute(f"SELECT FROM tidings.{table}")


def test_partitions_at_every_level_can_be_hooked(settings: Settings, url: str) -> None:
    with psycopg.connect(settings.installer_url, autocommit=True) as installer:
        hook(installer, "shop.visits")
    with psycopg.connect(url, autocommit=True) as app:
        for table in ("visits", "visits_2026", "visits_2026_1"):
            app.execute(f"INSERT INTO shop.{table} VALUES (1, '2026-02-02')")
        assert app.execute("SELECT count(*) FROM tidings.outbox").fetchone() == (3,)
        assert not capture_health(app, 1).red


def test_a_table_that_was_not_granted_is_refused_with_the_way_out(settings: Settings, url: str) -> None:
    with psycopg.connect(url, autocommit=True) as app:
        app.execute("REVOKE TRIGGER ON shop.visits_2026_1 FROM tidings_roles_installer")
    with psycopg.connect(settings.installer_url, autocommit=True) as installer:
        table = table_of(installer, "shop.visits")
        with pytest.raises(NotAllowed, match=r"a trigger on shop\.visits_2026_1\. Run `tidings doctor --grants`"):
            install_hook(installer, 1, table, [watch(table)])


def test_an_uninstall_takes_every_hook_along(url: str, tmp_path: Path) -> None:
    before = snapshot(url)
    apply(prepare(tmp_path / "home", url))
    installer_url = load_settings(tmp_path / "home", {}).installer_url
    with psycopg.connect(installer_url, autocommit=True) as installer:
        hook(installer, "shop.orders")
        hook(installer, "shop.visits")
    with psycopg.connect(url, autocommit=True) as conn:
        remains = find_remains(conn, tmp_path / "home")
        assert remains.hooks == ("shop.orders", "shop.visits", "shop.visits_2026", "shop.visits_2026_1")
        refuse_removal(conn, remains)
        uninstall(conn, remains, lambda _: None)
    assert snapshot(url) == before
    with psycopg.connect(with_login(url, "clerk", "clerk"), autocommit=True) as clerk:
        clerk.execute(ORDERS)
