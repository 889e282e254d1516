import psycopg
import pytest

from runtime.postgres.server import PostgresServer
from runtime.rehearsal.row import Predicate, Row, delete_sql, insert_sql, update_sql
from runtime.rehearsal.rows import NoRow
from runtime.spec.schema import AddressKind
from tests.clones import clone_of

HARD = """
CREATE EXTENSION citext; CREATE EXTENSION btree_gist;
CREATE SCHEMA "Hard Ones"; SET search_path = "Hard Ones", public;
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN code AS text CHECK (VALUE ~ '^[A-Z]{3}-[0-9]{4,}$');
CREATE DOMAIN pct AS numeric(5, 2) NOT NULL CHECK (VALUE BETWEEN 0 AND 100);
CREATE TYPE place AS (street text, no int);
CREATE TABLE always (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, total int NOT NULL,
    twice int GENERATED ALWAYS AS (total * 2) STORED, CHECK (total * 2 > 50)
);
CREATE TABLE "Order Lines" ("Order Id" int, "line-no" int, "We""ird" code NOT NULL, p pct,
    PRIMARY KEY ("Order Id", "line-no"));
CREATE TABLE tenants (id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    slug public.citext UNIQUE NOT NULL CHECK (slug ~ '^[a-z0-9-]{3,20}$'));
CREATE TABLE clients (tenant uuid NOT NULL REFERENCES tenants, num int, email public.citext NOT NULL,
    home place NOT NULL, mood mood NOT NULL, PRIMARY KEY (tenant, num), UNIQUE (tenant, email));
CREATE TABLE visits (id serial PRIMARY KEY, tenant uuid NOT NULL, num int NOT NULL,
    FOREIGN KEY (tenant, num) REFERENCES clients);
CREATE TABLE rooms (id int PRIMARY KEY);
CREATE TABLE bookings (room int NOT NULL REFERENCES rooms, during tstzrange NOT NULL CHECK (NOT isempty(during)),
    EXCLUDE USING gist (room WITH =, during WITH &&));
CREATE TABLE settings (id int PRIMARY KEY,
    doc jsonb NOT NULL CHECK (doc ? 'theme' AND jsonb_typeof(doc -> 'theme') = 'object' AND (doc ->> 'size')::int > 3));
CREATE TABLE events (id bigint, at timestamptz NOT NULL, kind text NOT NULL) PARTITION BY RANGE (at);
CREATE TABLE events_24 PARTITION OF events FOR VALUES FROM ('2024-01-01') TO ('2025-01-01') PARTITION BY LIST (kind);
CREATE TABLE events_24_a PARTITION OF events_24 FOR VALUES IN ('buy', 'sell');
ALTER TABLE events_24_a ADD PRIMARY KEY (id), ADD FOREIGN KEY (id) REFERENCES always;
CREATE TABLE bosses (id int PRIMARY KEY, boss int NOT NULL REFERENCES bosses, CHECK (boss <= id));
CREATE TABLE hens (id int PRIMARY KEY, egg int NOT NULL);
CREATE TABLE eggs (id int PRIMARY KEY, hen int NOT NULL REFERENCES hens);
ALTER TABLE hens ADD FOREIGN KEY (egg) REFERENCES eggs;
CREATE TABLE many (id int PRIMARY KEY, tags text[] NOT NULL CHECK (array_length(tags, 1) >= 1), moods mood[] NOT NULL,
    span int4range NOT NULL, ip inet NOT NULL, price money NOT NULL, bits bit(3) NOT NULL, hour time NOT NULL,
    lasts interval NOT NULL CHECK (lasts > '2 days'), at point NOT NULL, raw bytea NOT NULL, doc json NOT NULL);
CREATE TABLE texts (id int PRIMARY KEY, two char(2) NOT NULL CHECK (two = upper(two)),
    five varchar(5) NOT NULL CHECK (char_length(five) = 5), "like" text NOT NULL CHECK ("like" LIKE 'AB\\_%'),
    similar_one text NOT NULL CHECK (similar_one SIMILAR TO '(x|y)+'));
CREATE TABLE one_of (a text, b text, c text, CHECK (num_nonnulls(a, b, c) = 1));
CREATE TABLE caseless (id int PRIMARY KEY, email text NOT NULL);
CREATE UNIQUE INDEX ON caseless (lower(email));
CREATE TABLE main_only (id int PRIMARY KEY, owner int NOT NULL, main boolean NOT NULL CHECK (main));
CREATE UNIQUE INDEX ON main_only (owner) WHERE main;
CREATE TABLE no_key (word text);
"""
SHOP = """
CREATE SCHEMA shop;
CREATE TABLE shop.customers (id int PRIMARY KEY, email text NOT NULL UNIQUE, contact text, opt_in boolean NOT NULL);
CREATE TABLE shop.orders (
    id int PRIMARY KEY, customer_id int NOT NULL REFERENCES shop.customers, gift_for int REFERENCES shop.customers,
    status text NOT NULL CHECK (status IN ('pending', 'paid', 'shipped', 'failed')), failure text,
    shipped_at timestamptz, total int NOT NULL CHECK (total >= 0), prefs jsonb NOT NULL DEFAULT '{}',
    CHECK ((status = 'failed') = (failure IS NOT NULL)), CHECK (status <> 'shipped' OR shipped_at IS NOT NULL)
);
"""


def test_every_table_of_a_hard_schema_gets_rows_that_postgres_takes(server: PostgresServer) -> None:
    with clone_of(server, HARD) as copy:
        rows = copy.rows()
        for relation in copy.facts.tables:
            made = [rows.make(relation) for _ in range(3)]
            found = copy.values(f'SELECT count(*) FROM "Hard Ones"."{relation.split(".")[1]}"')
            assert found[0][0] >= 3, relation
            assert len({tuple(row.key.items()) for row in made}) == 3, relation


def test_the_same_rows_come_out_every_time(server: PostgresServer) -> None:
    logs = []
    for _ in range(2):
        with clone_of(server, HARD) as copy:
            rows = copy.rows()
            for relation in sorted(copy.facts.tables):
                rows.make(relation)
            logs.append([(row.table.relation, dict(row.values)) for row in rows.log])
    assert logs[0] == logs[1]


@pytest.mark.parametrize(
    ("condition", "answer", "shown"),
    [
        ("status = 'shipped'", "TRUE", {"status": "shipped", "shipped_at": "2026-06-01 12:00:00+00"}),
        ("status = 'shipped'", "NOT TRUE", {"status": "pending", "shipped_at": None}),
        ("status = 'failed'", "TRUE", {"status": "failed"}),
        ("total > 100", "TRUE", {"total": "101"}),
        ("total > 100", "NOT TRUE", {"total": "100"}),
        ("shipped_at < timestamptz '2026-06-01 12:00+00' - interval '3 days'", "TRUE", {"status": "pending"}),
        ("shipped_at > '2030-01-01'", "NULL", {"shipped_at": None}),
        ("prefs -> 'mail' ->> 'weekly' = 'yes'", "TRUE", {"prefs": '{"mail": {"weekly": "yes"}}'}),
        ("gift_for IS NOT NULL AND gift_for <> customer_id", "TRUE", {}),
    ],
)
def test_a_row_meets_or_misses_a_condition(
    server: PostgresServer, condition: str, answer: str, shown: dict[str, str | None]
) -> None:
    with clone_of(server, SHOP) as copy:
        row = copy.rows().make("shop.orders", Predicate(condition, answer))
        held = copy.values(f"SELECT ({condition}) FROM shop.orders")[0][0]
    assert held is {"TRUE": True, "NULL": None}.get(answer, held)
    assert held is not True or answer == "TRUE"
    assert {name: row.values[name] for name in shown} == shown


@pytest.mark.parametrize(
    ("condition", "answer"), [("total < 0", "TRUE"), ("total > 5", "NULL"), ("status = 'x'", "TRUE")]
)
def test_what_the_table_forbids_is_not_found_and_that_is_called_no_proof(
    server: PostgresServer, condition: str, answer: str
) -> None:
    with clone_of(server, SHOP) as copy, pytest.raises(NoRow, match=r"No row of shop\.orders was found for which"):
        copy.rows().make("shop.orders", Predicate(condition, answer))


def test_parents_are_made_once_and_used_again_and_nullable_ones_stay_null(server: PostgresServer) -> None:
    with clone_of(server, SHOP) as copy:
        rows = copy.rows()
        first, second = rows.make("shop.orders"), rows.make("shop.orders")
        other = rows.make("shop.orders", fixed={"customer_id": "77"})
        customers = copy.values("SELECT id FROM shop.customers ORDER BY id")
    assert first.values["customer_id"] == second.values["customer_id"] == "1"
    assert other.values["customer_id"] == "77"
    assert customers == [(1,), (77,)]
    assert first.values["gift_for"] is None


def test_address_columns_hold_addresses_that_nobody_has(server: PostgresServer) -> None:
    with clone_of(server, SHOP) as copy:
        rows = copy.rows(shop__customers__contact=AddressKind.SLACK)
        made = [rows.make("shop.customers").values for _ in range(2)]
    assert [(row["email"], row["contact"]) for row in made] == [
        ("ada1@example.test", "@ada1"),
        ("bob2@example.test", "@bob2"),
    ]


def test_a_row_can_be_planned_with_every_default_and_inserted_elsewhere(server: PostgresServer) -> None:
    with clone_of(server, HARD) as copy:
        rows = copy.rows()
        planned = rows.plan("Hard Ones.always", Predicate("twice >= 300"))
        assert copy.values('SELECT count(*) FROM "Hard Ones".always') == [(0,)]
        copy.conn.execute(insert_sql([planned]))
        written = copy.values('SELECT id::text, total::text, twice::text FROM "Hard Ones".always')
    assert written == [(planned.values["id"], planned.values["total"], planned.values["twice"])]
    assert int(planned.values["twice"] or 0) >= 300


def test_a_change_touches_as_little_as_the_rules_allow(server: PostgresServer) -> None:
    with clone_of(server, SHOP) as copy:
        rows = copy.rows()
        order = rows.make("shop.orders")
        assert rows.change(order, Predicate("status = 'paid'")) == {"status": "paid"}
        assert rows.change(order, Predicate("status = 'failed'")).keys() == {"status", "failure"}
        assert rows.change(order, Predicate("status = 'pending'")) == {}
        changed = rows.update(order, Predicate("status = 'shipped'"))
        assert copy.values("SELECT status, shipped_at IS NOT NULL FROM shop.orders") == [("shipped", True)]
        assert rows.log[-1].values == changed.values
        with pytest.raises(NoRow, match="No change of a row"):
            rows.change(order, Predicate("total < 0"))


def test_a_failed_row_leaves_neither_parents_nor_entries_in_the_log(server: PostgresServer) -> None:
    with clone_of(server, SHOP) as copy:
        rows = copy.rows()
        with pytest.raises(NoRow):
            rows.make("shop.orders", Predicate("total < 0"))
        assert rows.log == []
        assert copy.values("SELECT count(*) FROM shop.customers") == [(0,)]


def test_rows_that_are_there_already_are_respected(server: PostgresServer) -> None:
    with clone_of(server, SHOP) as copy:
        copy.conn.execute("INSERT INTO shop.customers VALUES (1, 'ada1@example.test', NULL, true)")
        rows = copy.rows()
        made = rows.make("shop.customers")
        assert made.values["id"] == "2"
        assert made.values["email"] != "ada1@example.test"
        found = rows.find("shop.customers", Predicate("opt_in"))
        assert found is not None
        assert found.values["id"] == "1"
        assert rows.find("shop.customers", Predicate("opt_in"), but=[found]) is None


def test_rows_are_written_back_whatever_their_values(server: PostgresServer) -> None:
    schema = """CREATE TABLE "t 1" ("a %" text, "b'c" int, d text)"""
    with clone_of(server, schema) as copy:
        table = copy.facts.of("public.t 1").table
        rows = [Row(table, {"a %": "it's 100 %", "b'c": "1", "d": None}), Row(table, {"a %": "", "b'c": "2", "d": "x"})]
        copy.conn.execute(insert_sql(rows))
        copy.conn.execute(update_sql([rows[0]], {"d": "50 %s"}))
        copy.conn.execute(delete_sql(rows[1]))
        assert copy.values('SELECT * FROM "t 1"') == [("it's 100 %", 1, "50 %s")]


def test_a_condition_that_raises_on_some_values_is_still_solved(server: PostgresServer) -> None:
    with clone_of(server, "CREATE TABLE t (id int PRIMARY KEY, v text NOT NULL)") as copy:
        row = copy.rows().make("public.t", Predicate("v::int > 3"))
        with pytest.raises(psycopg.errors.InvalidTextRepresentation):
            copy.conn.execute("SELECT 'V 1'::int")
    assert int(row.values["v"] or 0) > 3
