import psycopg
import pytest

from runtime.postgres.server import PostgresServer
from runtime.rehearsal.databases import ensure_template, scratch_database
from runtime.source.catalog import read_catalog
from runtime.spec.schema import Table
from tests.clones import clone_of

KINDS = """
CREATE EXTENSION citext; CREATE EXTENSION btree_gist;
CREATE SCHEMA "Odd Shop"; SET search_path = "Odd Shop", public;
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN sku AS text CHECK (VALUE ~ '^[A-Z]{3}-[0-9]{4}$');
CREATE DOMAIN felt AS mood;
CREATE TYPE place AS (street text, felt felt);
CREATE TYPE floats AS RANGE (subtype = float8);
CREATE COLLATION plain (locale = 'C');
CREATE SEQUENCE numbers START 100 INCREMENT 5;
CREATE TABLE tenants (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), slug public.citext NOT NULL UNIQUE);
CREATE TABLE "Client Data" (
    tenant uuid REFERENCES tenants, "No" int DEFAULT nextval('numbers'), mood mood NOT NULL DEFAULT 'ok', home place,
    heights floats[], name varchar(20) COLLATE plain, code sku, at timestamptz NOT NULL DEFAULT now(),
    born date DEFAULT CURRENT_DATE CHECK (born <= CURRENT_DATE), "Weird""ly %" text,
    seq bigint GENERATED ALWAYS AS IDENTITY (START WITH 7), twice int GENERATED ALWAYS AS (length(code) * 2) STORED,
    PRIMARY KEY (tenant, "No"), CHECK (mood <> 'sad' OR name IS NOT NULL)
);
CREATE UNIQUE INDEX ON "Client Data" (lower(name)) WHERE mood = 'happy';
CREATE TABLE rooms (no int, during tstzrange, EXCLUDE USING gist (no WITH =, during WITH &&));
CREATE TABLE events (
    id bigint, at timestamptz DEFAULT clock_timestamp(), tenant uuid, client int, PRIMARY KEY (id, at),
    FOREIGN KEY (tenant, client) REFERENCES "Client Data"
) PARTITION BY RANGE (at);
CREATE TABLE events_2026 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01') PARTITION BY HASH (id);
CREATE TABLE events_2026_0 PARTITION OF events_2026 FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE events_2026_1 PARTITION OF events_2026 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE events_rest PARTITION OF events DEFAULT;
CREATE TABLE hens (id int PRIMARY KEY, egg int NOT NULL);
CREATE TABLE eggs (id int PRIMARY KEY, hen int NOT NULL REFERENCES hens);
ALTER TABLE hens ADD FOREIGN KEY (egg) REFERENCES eggs;
CREATE VIEW lately AS SELECT e.id, c.name FROM events e JOIN "Client Data" c ON c.tenant = e.tenant
    WHERE e.at > now() - interval '1 day';
"""
OUTSIDE = """
CREATE SCHEMA own;
CREATE FUNCTION own.fine(text) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true';
CREATE FUNCTION own.token() RETURNS text LANGUAGE sql AS 'SELECT ''t''';
CREATE FUNCTION own.touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TABLE own.things (
    id int PRIMARY KEY, name text NOT NULL CHECK (own.fine(name)), token text NOT NULL DEFAULT own.token(),
    size text GENERATED ALWAYS AS (CASE WHEN own.fine(name) THEN 'big' END) STORED
);
CREATE UNIQUE INDEX ON own.things (own.fine(name));
CREATE TRIGGER touched BEFORE UPDATE ON own.things FOR EACH ROW EXECUTE FUNCTION own.touch();
CREATE RULE nothing AS ON DELETE TO own.things DO INSTEAD NOTHING;
ALTER TABLE own.things ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON own.things USING (true);
CREATE VIEW own.seen AS SELECT id, own.token() AS token FROM own.things;
CREATE MATERIALIZED VIEW own.kept AS SELECT count(*) AS n FROM own.things;
CREATE TABLE own.base (id int);
CREATE TABLE own.more (extra int) INHERITS (own.base);
CREATE EXTENSION file_fdw;
CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
CREATE FOREIGN TABLE own.lines (line text) SERVER files OPTIONS (filename '/etc/hostname');
CREATE VIEW own.far AS SELECT line FROM own.lines;
INSERT INTO own.things (id, name) VALUES (1, 'a secret');
"""


def _shape(tables: tuple[Table, ...]) -> dict[str, Table]:
    volatile = {"comment": "", "estimated_rows": 0, "row_security": False}
    return {table.relation: table.model_copy(update=volatile) for table in tables}


def test_a_clone_has_the_shape_of_the_original_and_only_the_clock_is_another(server: PostgresServer) -> None:
    with clone_of(server, KINDS) as copy:
        assert copy.cloned.not_cloned == ()
        original, same = _shape(read_catalog(copy.source).tables), _shape(read_catalog(copy.conn).tables)
    assert original.keys() == same.keys()
    for relation, table in original.items():
        for mine, theirs in zip(same[relation].columns, table.columns, strict=True):
            assert mine.model_copy(update={"default": ""}) == theirs.model_copy(update={"default": ""})
        ignored = {"columns", "checks"}
        assert same[relation].model_dump(exclude=ignored) == table.model_dump(exclude=ignored)
    defaults = {column.name: column.default for column in same["Odd Shop.Client Data"].columns}
    assert defaults["at"] == "tidings.virtual_now()"
    assert defaults["born"] == "(tidings.virtual_now())::date"
    assert defaults["No"] == "nextval('\"Odd Shop\".numbers'::regclass)"


def test_defaults_checks_and_views_go_by_the_clock_of_the_rehearsal(server: PostgresServer) -> None:
    with clone_of(server, KINDS) as copy:
        copy.conn.execute("UPDATE tidings.virtual_clock SET at = '2020-02-02 08:00+00'")
        copy.conn.execute(
            "INSERT INTO \"Odd Shop\".tenants VALUES ('00000000-0000-4000-8000-000000000001', 'one');"
            'INSERT INTO "Odd Shop"."Client Data" (tenant) VALUES (\'00000000-0000-4000-8000-000000000001\')'
        )
        written = copy.values('SELECT "No", at, born, seq FROM "Odd Shop"."Client Data"')
        with pytest.raises(psycopg.errors.CheckViolation):
            copy.conn.execute('UPDATE "Odd Shop"."Client Data" SET born = \'2020-02-03\'')
        copy.conn.execute(
            'INSERT INTO "Odd Shop".events SELECT 1, \'2020-02-02\', tenant, "No" FROM "Odd Shop"."Client Data"'
        )
        assert copy.values('SELECT id FROM "Odd Shop".lately') == [(1,)]
    assert [(number, f"{at:%Y-%m-%d %H}", str(born), seq) for number, at, born, seq in written] == [
        (100, "2020-02-02 08", "2020-02-02", 7)
    ]


def test_parents_come_along_and_nothing_that_is_not_needed(server: PostgresServer) -> None:
    with clone_of(server, KINDS, ["Odd Shop.events"]) as copy:
        assert set(copy.cloned.relations) == {"Odd Shop.events", "Odd Shop.Client Data", "Odd Shop.tenants"}


def test_what_acts_outside_the_tables_is_left_out_and_said(server: PostgresServer) -> None:
    with clone_of(server, OUTSIDE) as copy:
        said = "\n".join(copy.cloned.not_cloned)
        functions = copy.values("SELECT count(*) FROM pg_proc WHERE pronamespace = 'own'::regnamespace")
        triggers = copy.values("SELECT count(*) FROM pg_trigger WHERE tgrelid = 'own.things'::regclass")
        kinds = dict(
            copy.values("SELECT relname, relkind::text FROM pg_class WHERE relnamespace = 'own'::regnamespace")
        )
        rows = copy.values("SELECT * FROM own.things")
        copy.conn.execute("INSERT INTO own.things (id, name, token) VALUES (1, 'x', 'y')")
    assert functions == [(0,)]
    assert triggers == [(0,)]
    assert rows == []
    assert (kinds["seen"], kinds["kept"], kinds["lines"]) == ("r", "v", "r")
    for part in (
        "own.things: trigger touched",
        "own.things: rule nothing",
        "own.things: row security",
        "own.things: default of token, because it calls own.token()",
        "own.things: check things_name_check, because it calls own.fine(text)",
        "own.things: column size, because it calls own.fine(text)",
        "own.things: unique index things_fine_idx, because it calls own.fine(text)",
        "view own.seen: function own.token() does not exist; it stands as a table, which the rehearsal fills",
        "own.kept: the stored copy",
        "own.more: inheritance from own.base",
        "own.lines: connection to another server",
    ):
        assert part in said


def test_a_role_that_may_read_no_table_can_still_have_its_shape_cloned(server: PostgresServer) -> None:
    with psycopg.connect(server.url, autocommit=True) as admin:
        admin.execute("DROP ROLE IF EXISTS shape_reader; CREATE ROLE shape_reader")
    with clone_of(server, f"{KINDS}; SET ROLE shape_reader") as copy:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            copy.source.execute('SELECT FROM "Odd Shop".tenants')
        assert len(copy.cloned.relations) == 7


def test_an_extension_that_reaches_outside_is_not_installed_and_text_stands_for_its_types(
    server: PostgresServer,
) -> None:
    schema = "CREATE EXTENSION seg; CREATE TABLE t (id int PRIMARY KEY, s seg NOT NULL, v varchar(3))"
    with clone_of(server, schema) as copy:
        assert copy.cloned.not_cloned == ()
    with clone_of(server, schema.replace("seg", "lo")) as copy:  # a domain over oid, with functions of its own
        assert copy.cloned.not_cloned == ()
    with clone_of(
        server, "CREATE EXTENSION tablefunc; CREATE EXTENSION dblink; CREATE TABLE d (c dblink_pkey_results)"
    ) as copy:
        assert "extension dblink: this server does not have it, or it reaches outside" in copy.cloned.not_cloned
        assert "type public.dblink_pkey_results: text stands for it" in copy.cloned.not_cloned
        copy.conn.execute("INSERT INTO d VALUES ('anything')")


def test_databases_of_processes_that_died_are_swept_and_those_in_use_stay(server: PostgresServer) -> None:
    with psycopg.connect(server.url, autocommit=True) as admin:
        admin.execute("CREATE DATABASE tidings_world_left_behind")
        template = ensure_template(server)
        with scratch_database(server, template) as first, scratch_database(server, template) as second:
            names = {row[0] for row in admin.execute("SELECT datname FROM pg_database")}
            assert {first, second} <= names
            assert "tidings_world_left_behind" not in names
        names = {row[0] for row in admin.execute("SELECT datname FROM pg_database")}
    assert not {first, second} & names


def test_the_template_is_built_once(server: PostgresServer) -> None:
    first = ensure_template(server)
    with psycopg.connect(server.url, autocommit=True) as admin:
        oid = admin.execute("SELECT oid FROM pg_database WHERE datname = %s", (first,)).fetchall()
        assert ensure_template(server) == first
        assert admin.execute("SELECT oid FROM pg_database WHERE datname = %s", (first,)).fetchall() == oid
