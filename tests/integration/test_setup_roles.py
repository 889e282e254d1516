import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from runtime.errors import NotAllowed, Temporary
from runtime.ledger.database import Ledger
from runtime.postgres.address import with_login
from runtime.postgres.server import PostgresServer
from runtime.settings import load_settings, read_project
from runtime.setup.access import Access, given_access
from runtime.setup.look import connect
from runtime.setup.prepare import apply, prepare
from runtime.setup.remove import find_remains, refuse_removal, remove
from runtime.setup.script import full_script, script
from runtime.source.catalog import load_catalog
from runtime.source.reader import Source
from tests.fresh_database import fresh_database, snapshot


@pytest.fixture
def creator(server: PostgresServer) -> Iterator[str]:
    """A database whose owner may create roles and is no superuser."""
    with fresh_database(server, "creators", owner="creator", extra="CREATEROLE") as url:
        with psycopg.connect(url, autocommit=True) as conn:
            conn.execute(
                "ALTER TABLE shop.staff ENABLE ROW LEVEL SECURITY; ALTER TABLE shop.staff FORCE ROW LEVEL SECURITY"
            )
        yield url


@pytest.fixture
def plain(server: PostgresServer) -> Iterator[str]:
    """A database whose owner may not create roles."""
    with fresh_database(server, "plains", owner="plain") as url:
        yield url


def test_an_owner_who_may_create_roles_needs_no_superuser(creator: str, server: PostgresServer, tmp_path: Path) -> None:
    admin = server.database_url("creators")
    before = snapshot(admin)
    preparation = prepare(tmp_path, creator)
    assert (preparation.obstacles, preparation.plan.found.superuser) == ((), False)
    access = apply(preparation)
    assert access.note == ""
    assert prepare(tmp_path, creator).nothing_to_do
    settings = load_settings(tmp_path, {})
    with Source(settings.reader_url) as source, Ledger(settings.ledger_url) as ledger:
        assert len(load_catalog(source, ledger).tables) == 6
    with psycopg.connect(creator, autocommit=True) as conn:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute("SELECT FROM tidings.project")
        remove(conn, find_remains(conn, tmp_path), lambda _: None)
    assert snapshot(admin) == before


def test_who_may_not_create_roles_gets_the_script_and_goes_on_with_what_a_dba_made(
    plain: str, server: PostgresServer, tmp_path: Path
) -> None:
    preparation = prepare(tmp_path, plain)
    assert preparation.obstacles == ("plain may not create roles",)
    text = script(preparation.plan)
    assert "PASSWORD" not in text
    assert "\\password tidings_plains_reader" in text
    dba = server.database_url("plains")
    with psycopg.connect(dba, autocommit=True) as conn:
        conn.execute("\n".join(line for line in text.splitlines() if not line.startswith("--")))
        for role in preparation.plan.roles:
            conn.execute(f"ALTER ROLE {role} PASSWORD 'given'")
    assert "may not set their passwords" in prepare(tmp_path, plain).obstacles[0]
    access = given_access(*(with_login(plain, role, "given") for role in preparation.plan.roles))
    again = prepare(tmp_path, plain, given=access)
    assert (again.obstacles, again.plan.administration, again.passwords) == ((), (), {})
    apply(again)
    assert prepare(tmp_path, plain).nothing_to_do
    settings = load_settings(tmp_path, {})
    with Source(settings.reader_url) as source, Ledger(settings.ledger_url) as ledger:
        assert len(load_catalog(source, ledger).tables) == 6
    with connect(plain) as conn, pytest.raises(NotAllowed, match=r'may not drop [\s\S]*DROP OWNED BY "tidings_plains_'):
        refuse_removal(conn, find_remains(conn, tmp_path))


def test_who_may_only_read_gets_a_script_for_what_they_read_and_goes_on_with_it(
    plain: str, server: PostgresServer, tmp_path: Path
) -> None:
    guest = with_login(plain, "guest", "guest")
    dba = server.database_url("plains")
    with psycopg.connect(dba, autocommit=True) as conn:
        conn.execute("CREATE ROLE guest LOGIN PASSWORD 'guest'; GRANT USAGE ON SCHEMA shop TO guest")
        conn.execute("GRANT SELECT ON shop.customers, shop.orders TO guest")
    preparation = prepare(tmp_path, guest)
    assert preparation.obstacles[:2] == ("guest may not create roles", "guest may not create a schema in plains")
    with psycopg.connect(dba, autocommit=True) as conn:
        conn.execute(script(preparation.plan))
        for role in preparation.plan.roles:
            conn.execute(f"ALTER ROLE {role} PASSWORD 'given'")
    access = given_access(*(with_login(plain, role, "given") for role in preparation.plan.roles))
    apply(prepare(tmp_path, guest, given=access))
    assert prepare(tmp_path, guest).nothing_to_do
    settings = load_settings(tmp_path, {})
    with Source(settings.reader_url) as source, Ledger(settings.ledger_url) as ledger:
        tables = load_catalog(source, ledger).tables
    assert [table.relation for table in tables] == ["shop.customers", "shop.orders"]


def test_who_can_not_see_what_was_approved_is_never_told_to_take_it_back(
    creator: str, server: PostgresServer, tmp_path: Path
) -> None:
    apply(prepare(tmp_path / "first", creator))
    with psycopg.connect(server.database_url("creators"), autocommit=True) as conn:
        conn.execute("CREATE ROLE guest LOGIN PASSWORD 'guest'; GRANT USAGE ON SCHEMA shop TO guest")
        conn.execute("GRANT SELECT ON ALL TABLES IN SCHEMA shop TO guest")
    with pytest.raises(NotAllowed, match="set up in creators already, and guest may not see what was approved"):
        prepare(tmp_path / "second", with_login(creator, "guest", "guest"))
    again = prepare(tmp_path / "second", creator)
    assert (again.obstacles, again.plan.administration, len(again.passwords)) == ((), (), 3)


def test_the_whole_script_can_be_run_on_a_database_that_has_nothing(
    plain: str, server: PostgresServer, tmp_path: Path
) -> None:
    text = full_script(plain)
    assert '-- so that workflows can read it\nGRANT SELECT ON "shop"."customers"' in text
    with psycopg.connect(server.database_url("plains"), autocommit=True) as conn:
        conn.execute("\n".join(line for line in text.splitlines() if not line.startswith("--")))
    assert prepare(tmp_path, plain).plan.administration == ()


def test_roles_with_other_names_are_used_as_given_and_survive_an_uninstall(
    plain: str, server: PostgresServer, tmp_path: Path
) -> None:
    dba = server.database_url("plains")
    with psycopg.connect(dba, autocommit=True) as conn:
        for name in ("notes_i", "notes_l", "notes_r"):
            conn.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'given'")
        before = snapshot(dba)
    access = Access(*(with_login(plain, name, "given") for name in ("notes_i", "notes_l", "notes_r")))
    preparation = prepare(tmp_path, dba, given=access)
    apply(preparation)
    assert prepare(tmp_path, dba, given=access).nothing_to_do
    with psycopg.connect(dba, autocommit=True) as conn:
        remains = find_remains(conn, tmp_path)
        assert (remains.roles, remains.others) == ((), ("notes_i", "notes_l", "notes_r"))
        remove(conn, remains, lambda _: None)
    assert [line for line in snapshot(dba) if line not in before] == []


def test_a_login_that_does_not_work_is_named(plain: str) -> None:
    with pytest.raises(NotAllowed, match="--installer-url does not log in: password authentication failed"):
        given_access(with_login(plain, "plain", "wrong"), plain, plain)
    with pytest.raises(NotAllowed, match="--ledger-url does not log in"):
        given_access(plain, with_login(plain, "nobody", "x"), plain)


def test_roles_that_may_not_log_in_are_reached_through_the_given_login(tmp_path: Path) -> None:
    own = PostgresServer(tmp_path / "server", scratch=True)
    own.start()
    try:
        with fresh_database(own, "closed", owner="boss", extra="CREATEROLE") as url:
            _admit(own, "postgres,boss")
            home = tmp_path / "home"
            access = apply(prepare(home, url))
            assert "so Tidings logs in as boss and becomes them" in access.note
            with psycopg.connect(read_project(home)["reader_url"]) as conn:
                shown = conn.execute("SELECT session_user::text, current_user::text").fetchone()
            assert shown == ("boss", "tidings_closed_reader")
            settings = load_settings(home, {})
            with Source(settings.reader_url) as source, Ledger(settings.ledger_url) as ledger:
                assert len(load_catalog(source, ledger).tables) == 6
            _admit(own, "all")
            assert apply(prepare(home, url)).note == ""
            assert read_project(home)["reader_url"].startswith("postgresql://tidings_closed_reader:")
            with psycopg.connect(url, autocommit=True) as conn:
                remove(conn, find_remains(conn, home), lambda _: None)
    finally:
        own.stop()


def _admit(server: PostgresServer, users: str) -> None:
    """Let only these users log in, and wait until the server has read that."""
    (server.home / "data" / "pg_hba.conf").write_text(f"host all {users} 127.0.0.1/32 scram-sha-256\n")
    with psycopg.connect(server.url, autocommit=True) as conn:
        before = conn.execute("SELECT pg_conf_load_time(), pg_reload_conf()").fetchone()
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        with psycopg.connect(server.url) as conn:
            now = conn.execute("SELECT pg_conf_load_time()").fetchone()
        if before and now and now[0] > before[0]:
            return
    pytest.fail("the server did not reload its configuration")


def test_an_address_that_answers_not_is_shown_without_its_password() -> None:
    with pytest.raises(Temporary) as raised:
        connect("postgresql://me:hidden@127.0.0.1:1/db")
    assert str(raised.value).startswith("No connection to me@127.0.0.1:1/db: Connection refused. Check host, port")
    assert "hidden" not in str(raised.value)
