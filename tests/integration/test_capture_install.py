"""Installing a hook: once per table, then only its functions are replaced, which disturbs nobody."""

from typing import Any

import psycopg
import pytest
from psycopg import Connection

from runtime.capture.install import Installed, install_hook
from runtime.errors import NotAllowed, NotFound
from runtime.spec.schema import Table
from tests.hooks import events, hook, keys, table_of, watch

STAFF = "INSERT INTO shop.staff SELECT i, i || '@x.test', 'support' FROM generate_series(1, 3) AS i"


def _triggers(conn: Connection[Any], relation: str) -> list[str]:
    rows = conn.execute(
        "SELECT tgname::text FROM pg_trigger WHERE tgrelid = %s::regclass AND NOT tgisinternal ORDER BY 1", (relation,)
    )
    return [name for (name,) in rows]


def _generations(conn: Connection[Any]) -> list[int]:
    return [row[0] for row in conn.execute("SELECT generation FROM tidings.outbox ORDER BY id")]


def test_only_the_operations_that_a_version_needs_get_a_trigger(app: Connection[Any]) -> None:
    assert hook(app, "shop.staff", ops=("update",)) == Installed(1, 1)
    assert _triggers(app, "shop.staff") == ["tidings_capture_1_u"]
    assert hook(app, "shop.staff", ops=("update", "insert")) == Installed(1, 2)
    assert _triggers(app, "shop.staff") == ["tidings_capture_1_i", "tidings_capture_1_u"]
    app.execute(STAFF + "; DELETE FROM shop.staff")
    assert [event[0] for event in events(app)] == ["i", "i", "i"]


def test_what_is_installed_is_written_down(app: Connection[Any]) -> None:
    installed = hook(app, "shop.staff", "email", ops=("insert",), prefilter="n.\"role\" = 'support'")
    row = app.execute("SELECT id, relation, key_columns, generation, installed_ops, definition FROM tidings.hook")
    assert row.fetchall() == [
        (
            *(installed.hook_id, "shop.staff", ["id"], 1, ["insert"]),
            {"columns": ["id", "email"], "prefilters": {"insert": "(n.\"role\" = 'support')"}},
        )
    ]


def test_a_republish_takes_no_lock_on_the_table(app: Connection[Any], database: str) -> None:
    hook(app, "shop.staff", "email")
    table = table_of(app, "shop.staff")
    with psycopg.connect(database) as migration:
        migration.execute(STAFF)
        migration.execute("LOCK TABLE shop.staff IN ACCESS EXCLUSIVE MODE")
        with app.transaction():
            app.execute("SET LOCAL lock_timeout = '1ms'")
            assert install_hook(app, 1, table, [watch(table, "role")]).generation == 2
        migration.execute("UPDATE shop.staff SET role = 'finance'")
    assert _generations(app) == [1, 1, 1, 2, 2, 2]
    assert [new for op, _, new, _ in events(app) if op == "u"] == [{"id": i, "role": "finance"} for i in (1, 2, 3)]


def test_a_missing_trigger_waits_for_its_lock_no_longer_than_the_caller_allows(
    app: Connection[Any], database: str
) -> None:
    table = table_of(app, "shop.staff")
    with psycopg.connect(database) as writer:
        writer.execute(STAFF)
        app.execute("SET lock_timeout = '10ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable), app.transaction():
            install_hook(app, 1, table, [watch(table)])
    assert app.execute("SELECT count(*) FROM tidings.hook").fetchone() == (0,)
    assert hook(app, "shop.staff") == Installed(2, 1)


def test_without_matches_the_triggers_stay_and_do_nothing(app: Connection[Any], database: str) -> None:
    hook(app, "shop.staff", "email")
    table = table_of(app, "shop.staff")
    with psycopg.connect(database) as writer:
        writer.execute(STAFF)
        assert install_hook(app, 1, table, []) == Installed(1, 2)
        writer.execute("UPDATE shop.staff SET role = 'finance'")
    assert [event[0] for event in events(app)] == ["i"] * 3
    assert len(_triggers(app, "shop.staff")) == 4
    app.execute("ALTER TABLE shop.staff DROP email; UPDATE shop.staff SET role = 'support'; DELETE FROM shop.staff")
    assert (events(app), keys(app)) == ([], [])
    app.execute("DROP TABLE shop.staff")
    assert install_hook(app, 1, table, []) == Installed(1, 3)


def test_an_operation_that_nobody_needs_any_more_is_put_to_rest(app: Connection[Any]) -> None:
    hook(app, "shop.staff")
    hook(app, "shop.staff", ops=("delete",))
    app.execute(STAFF + "; UPDATE shop.staff SET role = 'finance'; DELETE FROM shop.staff WHERE id = 1")
    assert [event[0] for event in events(app)] == ["d"]
    hook(app, "shop.staff", ops=("update",))
    app.execute("UPDATE shop.staff SET role = 'support'; DELETE FROM shop.staff")
    assert [event[0] for event in events(app)] == ["u", "u"]


def test_two_projects_may_watch_one_table(app: Connection[Any]) -> None:
    app.execute(
        "INSERT INTO tidings.project (id, name, system_identifier, database_name, secret)"
        " SELECT 2, 'other', system_identifier, database_name, secret FROM tidings.project"
    )
    table = table_of(app, "shop.staff")
    first = install_hook(app, 1, table, [watch(table)])
    second = install_hook(app, 2, table, [watch(table, "email")])
    app.execute(STAFF)
    rows = app.execute("SELECT hook_id, count(*) FROM tidings.outbox GROUP BY 1 ORDER BY 1").fetchall()
    assert rows == [(first.hook_id, 3), (second.hook_id, 3)]


def test_a_function_that_somebody_dropped_comes_back_with_its_trigger(app: Connection[Any]) -> None:
    hook(app, "shop.staff")
    app.execute("DROP FUNCTION tidings.hook_1_u() CASCADE; DROP SEQUENCE tidings.missed_1")
    hook(app, "shop.staff")
    app.execute(STAFF + "; UPDATE shop.staff SET role = 'finance'")
    assert [event[0] for event in events(app)] == ["i"] * 3 + ["u"] * 3


def test_what_can_have_no_hook_is_refused(app: Connection[Any]) -> None:
    app.execute("CREATE VIEW shop.busy AS SELECT * FROM shop.staff")
    with pytest.raises(NotAllowed, match=r"shop\.busy is not a table"):
        hook(app, "shop.busy")
    gone = Table(schema_name="shop", name="gone", columns=())
    with pytest.raises(NotFound, match=r"no table shop\.gone"):
        install_hook(app, 1, gone, [watch(gone)])


def test_virtual_generated_columns_are_refused_and_do_no_harm_beside_others(app: Connection[Any]) -> None:
    if app.info.server_version < 180000:
        pytest.skip("virtual generated columns came with Postgres 18")
    app.execute("CREATE TABLE shop.boxes (id int PRIMARY KEY, a int, twice int GENERATED ALWAYS AS (a * 2) VIRTUAL)")
    with pytest.raises(NotAllowed, match=r"virtual generated columns to a trigger: twice of shop\.boxes"):
        hook(app, "shop.boxes")
    hook(app, "shop.boxes", "a")
    app.execute("INSERT INTO shop.boxes VALUES (1, 1), (2, 2)")
    app.execute("UPDATE shop.boxes SET a = a + 1")
    assert [(new["id"], new["a"], op) for op, _, new, _ in events(app)] == [
        (1, 1, "i"),
        (2, 2, "i"),
        (1, 2, "u"),
        (2, 3, "u"),
    ]


def test_nobody_may_hang_our_functions_on_a_table_of_theirs(app: Connection[Any]) -> None:
    hook(app, "shop.staff")
    app.execute("DROP ROLE IF EXISTS forger; CREATE ROLE forger; GRANT USAGE ON SCHEMA tidings TO forger")
    try:
        app.execute("SET ROLE forger; CREATE TEMP TABLE mine (id int, email text, role text)")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="hook_1_i"):
            app.execute(
                "CREATE TRIGGER forged AFTER INSERT ON mine REFERENCING NEW TABLE AS new_rows"
                " FOR EACH STATEMENT EXECUTE FUNCTION tidings.hook_1_i()"
            )
    finally:
        app.execute("RESET ROLE; DROP OWNED BY forger; DROP ROLE forger")
