from datetime import timedelta
from typing import Any

import psycopg
import pytest
from dramatiq_postgres.schema import generate_init_sql
from psycopg import Connection

from runtime.clock import ShiftedClock, SystemClock
from runtime.errors import NotAllowed, NotFound
from runtime.ledger import migrate as migrate_module
from runtime.ledger.database import Ledger
from runtime.ledger.migrate import migrate
from runtime.ledger.project import advance_clock, check_binding, clock_for, hold, load_project, release
from runtime.postgres.server import PostgresServer


def test_migrating_twice_applies_each_file_once(app: Connection[Any]) -> None:
    app.execute("DROP SCHEMA tidings CASCADE")
    applied = migrate(app)
    assert applied[:3] == ["0001_initial", "0002_queue", "0003_checkpoints"]
    assert applied == sorted(set(applied))
    assert migrate(app) == []


def test_the_queue_is_what_the_broker_library_would_create() -> None:
    wanted = generate_init_sql("tidings", "dramatiq_").replace('CREATE SCHEMA IF NOT EXISTS "tidings";', "")
    ours = next(text for _, name, text in migrate_module._files() if name == "0002_queue")
    assert "\n".join(ours.splitlines()[2:]).split() == wanted.split()


def test_a_migration_may_be_owned_by_a_role_that_can_create_nothing_itself(app: Connection[Any]) -> None:
    app.execute("DROP SCHEMA tidings CASCADE")
    app.execute("CREATE ROLE some_installer")
    try:
        migrate(app, owner="some_installer")
        owners = app.execute(
            "SELECT DISTINCT relowner::regrole::text FROM pg_class WHERE relnamespace = 'tidings'::regnamespace"
        ).fetchall()
        assert owners == [("some_installer",)]
    finally:
        app.execute("DROP OWNED BY some_installer; DROP ROLE some_installer")


def test_the_clock_moves_forward_only_and_never_in_production(app: Connection[Any]) -> None:
    assert isinstance(clock_for(load_project(app, 1)), SystemClock)
    advance_clock(app, 1, timedelta(days=3))
    advance_clock(app, 1, timedelta(hours=1))
    assert clock_for(load_project(app, 1)) == ShiftedClock(timedelta(days=3, hours=1))
    with pytest.raises(NotAllowed, match="can't go back by 1:00:00"):
        advance_clock(app, 1, timedelta(hours=-1))
    app.execute("UPDATE tidings.project SET clock_shift = '0', mode = 'production'")
    with pytest.raises(NotAllowed, match="production mode is the real one"):
        advance_clock(app, 1, timedelta(days=3))


def test_an_unknown_project_is_named(app: Connection[Any]) -> None:
    for act in (load_project, lambda conn, number: hold(conn, number, "x"), release):
        with pytest.raises(NotFound, match="no project 7"):
            act(app, 7)


def test_at_home_nothing_is_held(app: Connection[Any]) -> None:
    release(app, 1)
    assert check_binding(app, load_project(app, 1), "development") is None


def test_another_cluster_database_environment_or_a_restored_dump_is_noticed(app: Connection[Any]) -> None:
    release(app, 1)
    project = load_project(app, 1)
    reason = check_binding(app, project, "production")
    assert reason is not None
    assert reason.startswith("It was set up as 'development' and this process runs as 'production'")
    for column, value, said in (
        ("system_identifier", "7", "another Postgres cluster"),
        ("database_name", "elsewhere", "made in database 'elsewhere'"),
        ("table_oid", "7", "restored from a dump"),
    ):
        app.execute(f"UPDATE tidings.project SET {column} = '{value}'")
        reason = check_binding(app, load_project(app, 1), "development")
        assert reason is not None
        assert said in reason
        release(app, 1)
    assert check_binding(app, load_project(app, 1), "development") is None


def test_a_database_copied_beside_the_original_is_noticed(database: str, server: PostgresServer) -> None:
    with psycopg.connect(database, autocommit=True) as conn:
        release(conn, 1)
    name = database.rpartition("/")[2]
    with psycopg.connect(server.url, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}_copy TEMPLATE {name}")
    try:
        with psycopg.connect(server.database_url(f"{name}_copy"), autocommit=True) as conn:
            reason = check_binding(conn, load_project(conn, 1), "development")
        assert reason is not None
        assert f"made in database '{name}'" in reason
    finally:
        with psycopg.connect(server.url, autocommit=True) as admin:
            admin.execute(f"DROP DATABASE {name}_copy WITH (FORCE)")


def test_the_first_reason_to_hold_stays_until_a_person_releases(app: Connection[Any]) -> None:
    hold(app, 1, "first")
    hold(app, 1, "second")
    assert load_project(app, 1).held_reason == "first"
    release(app, 1, environment="staging")
    project = load_project(app, 1)
    assert (project.held_reason, project.environment) == (None, "staging")


def test_a_plain_role_may_read_which_cluster_it_is_in(app: Connection[Any]) -> None:
    app.execute("CREATE ROLE plain; SET ROLE plain")
    try:
        assert app.execute("SELECT system_identifier FROM pg_control_system()").fetchone() is not None
    finally:
        app.execute("RESET ROLE; DROP ROLE plain")


def test_a_ledger_transaction_is_rolled_back_on_an_error_and_its_session_is_pinned(ledger: Ledger) -> None:
    with pytest.raises(psycopg.errors.CheckViolation), ledger.transaction() as conn:
        conn.execute("UPDATE tidings.project SET name = 'lost'; UPDATE tidings.project SET mode = 'odd'")
    with ledger.connection() as conn:
        assert load_project(conn, 1).name == "test"
        shown = conn.execute("SELECT current_setting('TimeZone'), current_setting('search_path')").fetchone()
    assert shown == ("UTC", "pg_catalog")


def test_a_url_that_becomes_another_role_keeps_doing_so_in_the_pool(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as admin:
        admin.execute("DROP ROLE IF EXISTS becomes; CREATE ROLE becomes")
    with Ledger(f"{database}?options=-c%20role%3Dbecomes") as ledger, ledger.connection() as conn:
        assert conn.execute("SELECT current_user, current_setting('TimeZone')").fetchone() == ("becomes", "UTC")
    with psycopg.connect(database, autocommit=True) as admin:
        admin.execute("DROP ROLE becomes")
