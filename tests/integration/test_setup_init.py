from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from runtime.errors import Conflict, Invalid, NotAllowed, Temporary
from runtime.ledger.database import Ledger
from runtime.ledger.project import check_binding, load_project
from runtime.postgres.server import PostgresServer
from runtime.settings import load_settings, read_project
from runtime.setup.choice import Wishes
from runtime.setup.prepare import Preparation, apply, prepare
from runtime.source.catalog import load_catalog
from runtime.source.reader import Source
from runtime.spec.schema import AddressKind, Catalog
from tests.fresh_database import fresh_database, snapshot
from tests.servers.pooler import pooler

SECRETS = """
CREATE TABLE shop.logins (id int PRIMARY KEY, customer_id int, password_hash text, phone text);
CREATE TABLE shop.sessions (id text PRIMARY KEY, data jsonb);
CREATE VIEW shop.paid AS SELECT * FROM shop.orders WHERE status = 'paid';
CREATE TABLE shop.visits (id int, at date) PARTITION BY RANGE (at);
CREATE TABLE shop.visits_2026 PARTITION OF shop.visits FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
ALTER TABLE shop.reviews ENABLE ROW LEVEL SECURITY;
INSERT INTO shop.products VALUES (1, 'a', 'A', 1, 1, 1);
INSERT INTO shop.customers (id, email) VALUES (1, 'ada@example.org');
INSERT INTO shop.reviews VALUES (1, 1, 1, 5, 'good');
INSERT INTO shop.logins VALUES (1, 1, 'x', '+1');
"""


@pytest.fixture
def url(server: PostgresServer) -> Iterator[str]:
    with fresh_database(server, "init") as url:
        with psycopg.connect(url, autocommit=True) as conn:
            conn.execute(SECRETS)
        yield url


def _init(url: str, home: Path, wishes: Wishes | None = None) -> Preparation:
    preparation = prepare(home, url, wishes)
    assert preparation.obstacles == ()
    apply(preparation)
    return preparation


def _catalog(home: Path) -> Catalog:
    settings = load_settings(home, {})
    with Source(settings.reader_url) as source, Ledger(settings.ledger_url) as ledger:
        return load_catalog(source, ledger)


def test_preparing_changes_nothing(url: str, tmp_path: Path) -> None:
    before = snapshot(url)
    preparation = prepare(tmp_path, url)
    assert snapshot(url) == before
    assert list(tmp_path.iterdir()) == []
    assert preparation.passwords != {}
    assert not any(password in repr(preparation) for password in preparation.passwords.values())


def test_what_was_found_is_what_is_there(url: str, tmp_path: Path) -> None:
    found = prepare(tmp_path, url).plan.found
    tables = {table.relation: table for table in found.tables}
    assert (found.database, found.user, found.pooler, found.replica) == ("init", "postgres", "", False)
    assert tables["shop.customers"].rows == 1
    assert tables["shop.customers"].people
    assert tables["shop.customers"].addresses == {"email": AddressKind.EMAIL, "slack_handle": AddressKind.SLACK}
    assert tables["shop.orders"].events[0].labels[:2] == ("pending", "paid")
    assert tables["shop.visits"].table.partitions == ("shop.visits_2026",)
    assert tables["shop.reviews"].row_security
    assert tables["shop.logins"].secret_columns == ("password_hash",)


def test_the_reader_sees_approved_tables_without_secrets_and_nothing_of_ours(url: str, tmp_path: Path) -> None:
    _init(url, tmp_path)
    catalog = _catalog(tmp_path)
    assert [t.name for t in catalog.tables] == [
        *("customers", "logins", "order_items", "orders", "products", "reviews", "staff", "visits")
    ]
    logins = catalog.table("shop.logins")
    assert logins is not None
    assert [column.name for column in logins.columns] == ["id", "customer_id", "phone"]
    assert catalog.address_columns == {
        "shop.customers.email": AddressKind.EMAIL,
        "shop.customers.slack_handle": AddressKind.SLACK,
        "shop.logins.phone": AddressKind.PHONE,
        "shop.staff.email": AddressKind.EMAIL,
    }
    with psycopg.connect(read_project(tmp_path)["reader_url"], autocommit=True) as reader:
        assert reader.execute("SELECT body FROM shop.reviews").fetchall() == [("good",)]
        for forbidden in (
            "SELECT password_hash FROM shop.logins",
            "SELECT FROM shop.sessions",
            "SELECT FROM shop.paid",
            "SELECT FROM tidings.project",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                reader.execute(forbidden)
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            reader.execute("CREATE TEMP TABLE t ()")


def test_the_ledger_role_works_in_our_schema_only(url: str, tmp_path: Path) -> None:
    _init(url, tmp_path)
    with psycopg.connect(read_project(tmp_path)["ledger_url"], autocommit=True) as ledger:
        ledger.execute("INSERT INTO tidings.contact VALUES (1, 'ops', 'email', 'ops@example.org')")
        ledger.execute("INSERT INTO tidings.outbox (hook_id, generation, op, captured_at) VALUES (1, 1, 'i', now())")
        ledger.execute("INSERT INTO tidings.dramatiq_worker VALUES (gen_random_uuid(), now())")
        row = ledger.execute('SELECT status FROM jsonb_populate_record(NULL::shop.orders, \'{"status": "paid"}\')')
        assert row.fetchone() == ("paid",)
        project = load_project(ledger, 1)
        assert (project.name, project.mode, check_binding(ledger, project, "development")) == ("init", "inbox", None)
        for forbidden in ("SELECT FROM shop.orders", "DROP TABLE tidings.run", "CREATE TABLE tidings.mine ()"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                ledger.execute(forbidden)


def test_the_installer_may_hook_tables_and_leaves_and_give_the_ledger_what_it_makes(url: str, tmp_path: Path) -> None:
    _init(url, tmp_path)
    project = read_project(tmp_path)
    with psycopg.connect(project["installer_url"], autocommit=True) as installer:
        installer.execute(
            "CREATE SEQUENCE tidings.missed_1; CREATE FUNCTION tidings.hook_1() RETURNS trigger LANGUAGE plpgsql "
            "SECURITY DEFINER SET search_path = pg_catalog AS "
            "$$BEGIN PERFORM nextval('tidings.missed_1'); RETURN NULL; END$$"
        )
        for table in ("orders", "visits", "visits_2026"):
            installer.execute(
                sql.SQL("CREATE TRIGGER t AFTER INSERT ON {} EXECUTE FUNCTION tidings.hook_1()").format(
                    sql.Identifier("shop", table)
                )
            )
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            installer.execute("SELECT FROM shop.orders")
    with psycopg.connect(url, autocommit=True) as app:
        app.execute(
            "INSERT INTO shop.orders (id, customer_id, status, total_cents, placed_at) VALUES (1, 1, 'paid', 1, now())"
        )
    with psycopg.connect(project["ledger_url"]) as ledger:
        assert ledger.execute("SELECT is_called FROM tidings.missed_1").fetchone() == (True,)


def test_a_second_init_has_nothing_to_do_and_a_new_table_is_all_that_is_asked_about(url: str, tmp_path: Path) -> None:
    _init(url, tmp_path)
    before = (tmp_path / "project.json").read_text()
    assert prepare(tmp_path, url).nothing_to_do
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute("CREATE TABLE shop.carts (id int PRIMARY KEY, e_mail text)")
    preparation = _init(url, tmp_path)
    assert preparation.plan.approve == ("shop.carts",)
    assert preparation.plan.addresses == {"shop.carts.e_mail": AddressKind.EMAIL}
    assert [change.action for change in preparation.plan.administration] == ["TRIGGER", "SELECT"]
    assert (tmp_path / "project.json").read_text() == before
    assert prepare(tmp_path, url).nothing_to_do


def test_a_person_s_choice_is_kept_until_they_change_it(url: str, tmp_path: Path) -> None:
    wishes = Wishes(
        exclude=("shop.staff", "shop.visits"),
        addresses={"shop.customers.full_name": "slack", "shop.logins.phone": "none"},
    )
    _init(url, tmp_path, wishes)
    assert prepare(tmp_path, url).nothing_to_do
    catalog = _catalog(tmp_path)
    assert catalog.table("shop.staff") is None
    assert catalog.address_columns["shop.customers.full_name"] is AddressKind.SLACK
    assert "shop.logins.phone" not in catalog.address_columns
    _init(url, tmp_path, Wishes(tables=("shop.*",), exclude=("shop.logins",)))
    assert {t.relation for t in _catalog(tmp_path).tables} >= {"shop.staff", "shop.paid", "shop.sessions"}
    assert _catalog(tmp_path).table("shop.logins") is None
    with (
        psycopg.connect(read_project(tmp_path)["reader_url"]) as reader,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        reader.execute("SELECT id FROM shop.logins")


def test_what_does_not_exist_is_refused_all_at_once(url: str, tmp_path: Path) -> None:
    with pytest.raises(Invalid) as raised:
        prepare(tmp_path, url, Wishes(tables=("shop.nothing",), exclude=("gone",), addresses={"shop.a.b": "fax"}))
    assert [problem.code for problem in raised.value.problems] == [
        *("unknown-table", "unknown-table", "unknown-column", "unknown-kind")
    ]


def test_a_lost_project_file_leads_to_new_passwords_and_keeps_everything_else(url: str, tmp_path: Path) -> None:
    _init(url, tmp_path, Wishes(exclude=("shop.staff",)))
    old = read_project(tmp_path)["reader_url"]
    (tmp_path / "project.json").unlink()
    preparation = _init(url, tmp_path)
    assert (preparation.plan.administration, preparation.plan.approve) == ((), ())
    assert set(preparation.passwords) == set(preparation.plan.roles)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(old)


@pytest.mark.parametrize("statement", ["RESET ROLE", "INSERT INTO tidings.approved_table"])
def test_an_init_that_dies_half_way_leaves_nothing_and_can_be_run_again(
    url: str, tmp_path: Path, statement: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = snapshot(url)
    execute = psycopg.Connection.execute

    def dying(self: psycopg.Connection[object], query: object, *args: object, **more: object) -> object:
        if statement in str(query):
            raise KeyboardInterrupt
        return execute(self, query, *args, **more)  # type: ignore[call-overload]

    with monkeypatch.context() as patch:
        patch.setattr(psycopg.Connection, "execute", dying)
        with pytest.raises(KeyboardInterrupt):
            apply(prepare(tmp_path, url))
    assert snapshot(url) == before
    _init(url, tmp_path)
    assert prepare(tmp_path, url).nothing_to_do


def test_a_home_that_holds_another_project_is_not_overwritten(url: str, tmp_path: Path, server: PostgresServer) -> None:
    _init(url, tmp_path)
    with (
        fresh_database(server, "other") as other,
        pytest.raises(Conflict, match="holds the project of tidings_init_ledger@"),
    ):
        prepare(tmp_path, other)


def test_a_foreign_schema_of_our_name_is_left_alone(url: str, tmp_path: Path) -> None:
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute("CREATE SCHEMA tidings; CREATE TABLE tidings.news (id int)")
    with pytest.raises(Conflict, match="is not ours"):
        prepare(tmp_path, url)


def test_a_lock_on_a_table_with_row_security_delays_the_policy_and_nobody_else(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.postgres.locks.TRIES", 2)
    preparation = prepare(tmp_path, url)
    with psycopg.connect(url) as busy:
        busy.execute("SELECT FROM shop.reviews")
        with pytest.raises(Temporary, match=r"Something holds a lock on shop\.reviews"):
            apply(preparation)
    _init(url, tmp_path)
    assert prepare(tmp_path, url).nothing_to_do


def test_a_server_that_is_too_old_is_refused(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.setup.look.OLDEST", 990000)
    with pytest.raises(NotAllowed, match="needs 14 or newer"):
        prepare(tmp_path, url)


def test_a_pooler_is_told_by_what_it_can_not_imitate(url: str, server: PostgresServer, tmp_path: Path) -> None:
    direct = (server.home / "port").read_text()
    with pooler(int(direct)) as port:
        found = prepare(tmp_path, url.replace(f":{direct}/", f":{port}/")).plan.found
    assert found.pooler == "a connection pooler at 127.0.0.1, in session mode, as it seems"


def test_a_pooler_that_shares_sessions_is_refused(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.setup.look.pooler", lambda *_: "a connection pooler at db, in transaction mode")
    with pytest.raises(NotAllowed, match="direct address"):
        prepare(tmp_path, url)
