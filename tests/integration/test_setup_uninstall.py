import re
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from runtime.errors import NotAllowed, Temporary
from runtime.ledger.database import Ledger
from runtime.postgres.server import PostgresServer
from runtime.publishing.pausing import pause
from runtime.settings import LOCK_FILE, read_project
from runtime.setup.look import connect
from runtime.setup.prepare import apply, prepare
from runtime.setup.remove import Remains, find_remains, refuse_removal, removal_script, remove
from tests.fresh_database import fresh_database, snapshot

HOOK = """
CREATE FUNCTION tidings.hook_1() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog
    AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER tidings_1_i AFTER INSERT ON shop.orders EXECUTE FUNCTION tidings.hook_1();
CREATE TRIGGER tidings_1_u AFTER UPDATE ON shop.orders EXECUTE FUNCTION tidings.hook_1();
"""


def _silent(_: str) -> None:
    """Say nothing."""


@pytest.fixture
def url(server: PostgresServer) -> Iterator[str]:
    with fresh_database(server, "uninstall") as url:
        with psycopg.connect(url, autocommit=True) as conn:
            conn.execute(
                "ALTER TABLE shop.staff ENABLE ROW LEVEL SECURITY; CREATE POLICY theirs ON shop.staff USING (true)"
            )
        yield url


def _remove(url: str, home: Path) -> Remains:
    with connect(url) as conn:
        remains = find_remains(conn, home)
        refuse_removal(conn, remains)
        remove(conn, remains, _silent)
    return remains


def test_afterwards_the_database_is_as_it_was(url: str, tmp_path: Path) -> None:
    before = snapshot(url)
    apply(prepare(tmp_path / "home", url))
    (tmp_path / "home" / LOCK_FILE).touch()  # as `tidings up` leaves it
    with psycopg.connect(read_project(tmp_path / "home")["installer_url"], autocommit=True) as installer:
        installer.execute(HOOK)
    with Ledger(read_project(tmp_path / "home")["ledger_url"]) as ledger:
        assert pause(ledger, by="ana") is None
    remains = _remove(url, tmp_path / "home")
    assert (remains.hooks, remains.policies, len(remains.roles)) == (("shop.orders",), ("shop.staff",), 3)
    assert snapshot(url) == before
    assert not (tmp_path / "home").exists()
    with connect(url) as conn:
        assert find_remains(conn, tmp_path / "home").nothing


def test_a_home_keeps_what_is_not_ours(url: str, tmp_path: Path) -> None:
    apply(prepare(tmp_path, url))
    (tmp_path / "secrets.env").touch()
    _remove(url, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["secrets.env"]


@pytest.mark.parametrize(
    "damage",
    [
        "DROP SCHEMA tidings CASCADE",
        "DROP OWNED BY tidings_uninstall_reader; DROP ROLE tidings_uninstall_reader",
        "DROP SCHEMA tidings CASCADE; CREATE SCHEMA tidings AUTHORIZATION tidings_uninstall_installer",
    ],
)
def test_it_works_on_a_half_installed_one(url: str, tmp_path: Path, damage: str) -> None:
    before = snapshot(url)
    apply(prepare(tmp_path, url))
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(damage)
    (tmp_path / "project.json").unlink()
    _remove(url, tmp_path)
    assert snapshot(url) == before


def test_one_that_dies_half_way_can_be_run_again(url: str, tmp_path: Path) -> None:
    before = snapshot(url)
    apply(prepare(tmp_path, url))

    def dying(said: str) -> None:
        if "schema" in said:
            raise KeyboardInterrupt

    with connect(url) as conn, pytest.raises(KeyboardInterrupt):
        remove(conn, find_remains(conn, tmp_path), dying)
    assert snapshot(url) != before
    _remove(url, tmp_path)
    assert snapshot(url) == before


def test_the_script_does_the_same(url: str, tmp_path: Path) -> None:
    before = snapshot(url)
    apply(prepare(tmp_path, url))
    with connect(url) as conn:
        conn.execute(removal_script(find_remains(conn, tmp_path)))
    assert snapshot(url) == before


def test_it_refuses_while_tidings_runs(url: str, tmp_path: Path) -> None:
    apply(prepare(tmp_path, url))
    with Ledger(read_project(tmp_path)["ledger_url"]) as ledger, ledger.connection(), connect(url) as conn:
        remains = find_remains(conn, tmp_path)
        with pytest.raises(Temporary, match="Stop `tidings up`"):
            refuse_removal(conn, remains)
    _remove(url, tmp_path)


def test_what_our_roles_came_to_own_is_never_dropped(url: str, tmp_path: Path) -> None:
    apply(prepare(tmp_path, url))
    with connect(url) as conn:
        conn.execute("CREATE TABLE shop.precious (); ALTER TABLE shop.precious OWNER TO tidings_uninstall_installer")
        with pytest.raises(
            NotAllowed, match=r"own what is not Tidings': shop\.precious \(tidings_uninstall_installer\)"
        ):
            refuse_removal(conn, find_remains(conn, tmp_path))
        conn.execute("ALTER TABLE shop.precious OWNER TO postgres")
    _remove(url, tmp_path)


def test_a_foreign_schema_of_our_name_and_a_never_used_database_are_left_alone(url: str, tmp_path: Path) -> None:
    with connect(url) as conn:
        conn.execute("CREATE SCHEMA tidings; CREATE TABLE tidings.news ()")
        remains = find_remains(conn, tmp_path)
        assert remains.nothing
        remove(conn, remains, _silent)
        conn.execute("SELECT FROM tidings.news")


@pytest.mark.parametrize(("table", "named"), [("orders", "tidings.hook_1()"), ("staff", "shop.staff")])
def test_a_lock_is_waited_for_briefly_and_named(
    url: str, tmp_path: Path, impatient: Callable[[], None], table: str, named: str
) -> None:
    apply(prepare(tmp_path, url))
    with psycopg.connect(read_project(tmp_path)["installer_url"], autocommit=True) as installer:
        installer.execute(HOOK)
    impatient()
    with psycopg.connect(url) as busy, connect(url) as conn:
        busy.execute(sql.SQL("SELECT FROM {}").format(sql.Identifier("shop", table)))
        with pytest.raises(Temporary, match=re.escape(f"Something holds a lock on {named}")):
            remove(conn, find_remains(conn, tmp_path), _silent)
    _remove(url, tmp_path)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Give up on locks after two tries, once called."""
    return lambda: monkeypatch.setattr("runtime.postgres.locks.TRIES", 2)
