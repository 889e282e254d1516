"""Compiled statements on the shop's database: many runs at once, each with its own answer."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from psycopg import Connection

from runtime.errors import Invalid
from runtime.source.batch import Batch
from runtime.source.catalog import read_catalog, safe_functions
from runtime.source.check import check_statements
from runtime.source.describe import describe
from runtime.source.statements import RowCapExceeded, holds, instants, run_statement
from runtime.spec.compile import compile_workflow
from runtime.spec.compiled import CompiledWorkflow
from runtime.spec.schema import Catalog, Column
from runtime.spec.yaml import load_spec, parse_spec
from tests.spec_catalog import shop

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))
NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
SEND = {
    "send": "tell",
    "to": "SELECT c.id AS key, c.email FROM shop.customers c WHERE c.id = new.customer_id",
    "channels": ["email"],
    "texts": [{"subject": "x", "body": "y"}],
}


@pytest.fixture
def reader(app: Connection[Any]) -> Iterator[Connection[Any]]:
    """A transaction such as the reader's, on a shop with ten customers and orders."""
    app.execute(
        "INSERT INTO shop.customers (id, email) SELECT n, n || '@x.test' FROM generate_series(1, 10) n;"
        "INSERT INTO shop.products (id, sku, title, stock, price_cents)"
        " VALUES (1, 'MUG', '100% Mug', 5, 100), (2, 'CAP', 'Cap', 50, 200);"
        "INSERT INTO shop.orders (id, customer_id, status, total_cents, placed_at)"
        " SELECT n, n, 'paid', n * 100, '2026-05-01' FROM generate_series(1, 10) n;"
        "INSERT INTO shop.order_items SELECT n, p, 1 FROM generate_series(1, 10) n, generate_series(1, 2) p;"
        "INSERT INTO shop.reviews VALUES (1, 1, 3, 5, NULL), (2, 2, 3, 4, NULL), (3, 1, 4, 1, 'no');"
        "INSERT INTO shop.staff VALUES (1, 'wh@x.test', 'warehouse'), (2, 'fin@x.test', 'finance');"
        "SET timezone TO 'UTC'; SET search_path TO pg_catalog, public"
    )
    with app.transaction():
        yield app


def catalog(conn: Connection[Any]) -> Catalog:
    """The shop as this server shows it, everything approved."""
    tables = tuple(t for t in read_catalog(conn).tables if t.schema_name == "shop")
    return shop().model_copy(update={"tables": tables, "functions": safe_functions(conn)})


def compiled(conn: Connection[Any], spec: dict[str, Any]) -> CompiledWorkflow:
    """Compile a spec; what is not said is an order that becomes shipped."""
    whole = {"workflow": "test", "about": "x", "trigger": {"change": "shop.orders", "becomes": "status = 'shipped'"}}
    workflow = parse_spec({**whole, "steps": [SEND], **spec})

    def columns(sql: str) -> tuple[Column, ...]:
        return describe(conn, sql)

    return compile_workflow(workflow, catalog(conn), describe=columns, texts=lambda _step, _path: ())


def orders(*ids: int, **more: Any) -> Batch:
    """A batch of runs of orders, run 100 + id each."""
    rows: list[str | None] = [json.dumps({"id": n, "customer_id": n, **more}) for n in ids]
    return Batch(ids=[100 + n for n in ids], at=[NOW] * len(ids), new=rows)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_compiles_and_the_server_agrees(reader: Connection[Any], path: Path) -> None:
    workflow = load_spec(path.read_text(encoding="utf-8"))
    made = compile_workflow(
        workflow, catalog(reader), describe=lambda sql: describe(reader, sql), texts=lambda _step, _path: ()
    )
    assert check_statements(reader, made) == []
    assert CompiledWorkflow.model_validate_json(made.model_dump_json()) == made


def test_each_run_gets_its_own_recipients_from_one_statement(reader: Connection[Any]) -> None:
    step = compiled(reader, {}).steps[0]
    assert step.query is not None
    found = run_statement(reader, step.query, orders(1, 2, 99), NOW)
    assert found == {101: [{"key": 1, "email": "1@x.test"}], 102: [{"key": 2, "email": "2@x.test"}]}
    assert [(c.name, c.type) for c in step.query.columns] == [("key", "integer"), ("email", "text")]


def test_order_and_limit_inside_work_for_each_run(reader: Connection[Any]) -> None:
    sql = """
        WITH mine AS (SELECT i.product_id FROM shop.order_items i WHERE i.order_id = new.id)
        SELECT p.title FROM shop.products p JOIN mine m ON m.product_id = p.id ORDER BY p.title DESC LIMIT 1"""
    steps = compiled(reader, {"steps": [{"query": "best", "sql": sql}, SEND]}).steps
    assert steps[0].query is not None
    found = run_statement(reader, steps[0].query, orders(1, 2), NOW)
    assert found == {101: [{"title": "Cap"}], 102: [{"title": "Cap"}]}


def test_while_holds_only_as_long_as_the_row_exists_and_says_so(reader: Connection[Any]) -> None:
    made = compiled(reader, {"while": "live.status = 'paid'"})
    assert made.while_ is not None
    reader.execute(
        "UPDATE shop.orders SET status = 'cancelled' WHERE id = 2; DELETE FROM shop.order_items WHERE order_id = 3"
    )
    reader.execute("DELETE FROM shop.orders WHERE id = 3")
    assert holds(reader, made.while_, orders(1, 2, 3), NOW) == {101: True, 102: False, 103: False}


def test_while_without_live_is_false_too_once_the_row_is_gone(reader: Connection[Any]) -> None:
    made = compiled(reader, {"while": "NOT EXISTS (SELECT FROM shop.reviews r WHERE r.customer_id = new.customer_id)"})
    assert made.while_ is not None
    reader.execute("DELETE FROM shop.order_items WHERE order_id = 2; DELETE FROM shop.orders WHERE id = 2")
    assert holds(reader, made.while_, orders(1, 2, 3), NOW) == {101: True, 102: False, 103: False}


def test_a_deleted_row_does_not_end_its_own_run(reader: Connection[Any]) -> None:
    trigger = {"change": "shop.orders", "ops": ["insert", "delete"]}
    send = {
        **SEND,
        "to": "SELECT c.email FROM shop.customers c WHERE c.id = coalesce(new.customer_id, old.customer_id)",
    }
    made = compiled(reader, {"trigger": trigger, "steps": [send], "while": "EXISTS (SELECT FROM shop.staff)"})
    assert made.while_ is not None
    assert made.steps[0].query is not None
    rows = ['{"id": 1, "customer_id": 1}', '{"id": 77, "customer_id": 2}']
    batch = Batch(ids=[1, 2, 3], at=[NOW] * 3, new=[rows[0], rows[1], None], old=[None, None, rows[1]])
    assert holds(reader, made.while_, batch, NOW) == {1: True, 2: False, 3: True}
    found = run_statement(reader, made.steps[0].query, batch, NOW)
    assert {run: row[0]["email"] for run, row in found.items()} == {1: "1@x.test", 2: "2@x.test", 3: "2@x.test"}


def test_every_run_gets_one_answer_from_a_condition_also_when_it_is_null(reader: Connection[Any]) -> None:
    condition = "(SELECT r.stars FROM shop.reviews r WHERE r.customer_id = new.customer_id LIMIT 1) > 1"
    made = compiled(reader, {"if": condition})
    assert made.condition is not None
    assert holds(reader, made.condition, orders(3, 4, 5), NOW) == {103: True, 104: False, 105: False}


def test_earlier_results_are_tables_with_their_own_types(reader: Connection[Any]) -> None:
    steps = [
        {
            "query": "tiers",
            "sql": "SELECT t.pct, t.pct / 3.0 AS share, :now AS at FROM unnest(ARRAY[80, 100]) AS t(pct)",
        },
        {"query": "top", "sql": "SELECT max(x.pct) + 1 AS pct, max(x.at) - interval '1 day' AS day FROM tiers AS x"},
        {**SEND, "if": "(SELECT pct FROM top) IS NOT NULL AND EXISTS (SELECT FROM tiers t(a) WHERE t.a > 90)"},
    ]
    made = compiled(reader, {"steps": steps})
    assert made.steps[0].query is not None
    assert made.steps[1].query is not None
    assert made.steps[2].condition is not None
    tiers = run_statement(reader, made.steps[0].query, orders(1), NOW)[101]
    batch = orders(1, 2)
    context = [json.dumps({"tiers": tiers}, default=str), "{}"]
    batch = Batch(ids=batch.ids, at=batch.at, new=batch.new, context=context)
    top = run_statement(reader, made.steps[1].query, batch, NOW)
    assert top[101] == [{"pct": 101, "day": NOW - timedelta(days=1)}]
    assert top[102] == [{"pct": None, "day": None}]
    full = [json.dumps({"tiers": tiers, "top": [{"pct": 1}]}, default=str), '{"top": []}']
    batch = Batch(ids=batch.ids, at=batch.at, new=batch.new, context=full)
    assert holds(reader, made.steps[2].condition, batch, NOW) == {101: True, 102: False}


def test_a_schedule_gives_typed_items_and_its_own_slot(reader: Connection[Any]) -> None:
    each = "SELECT c.id, c.email, c.created_at, event.at AS slot FROM shop.customers c WHERE c.id <= 2 ORDER BY c.id"
    steps = [
        {
            "query": "fresh",
            "sql": "SELECT count(*) AS n FROM shop.orders o WHERE o.placed_at >= event.at - interval '90 days'",
        },
        {**SEND, "to": "SELECT item.id AS key, item.email"},
    ]
    trigger = {"schedule": "0 9 * * 1", "each": each, "key": ["id"]}
    made = compiled(reader, {"trigger": trigger, "steps": steps})
    assert made.each is not None
    items = run_statement(reader, made.each, Batch(ids=[0], at=[NOW]), NOW)[0]
    assert [item["id"] for item in items] == [1, 2]
    assert items[0]["slot"] == NOW
    assert [c.name for c in made.item_columns] == ["id", "email", "created_at", "slot"]
    texts: list[str | None] = [json.dumps(item, default=str) for item in items]
    batch = Batch(ids=[7, 8], at=[NOW, NOW + timedelta(days=365)], item=texts)
    assert made.steps[0].query is not None
    assert made.steps[1].query is not None
    assert run_statement(reader, made.steps[1].query, batch, NOW)[8] == [{"key": 2, "email": "2@x.test"}]
    assert run_statement(reader, made.steps[0].query, batch, NOW) == {7: [{"n": 10}], 8: [{"n": 0}]}


def test_wait_until_gives_an_instant_for_every_run(reader: Connection[Any]) -> None:
    wait = {"wait": "a", "until": "(SELECT o.shipped_at + interval '2 hours' FROM shop.orders o WHERE o.id = new.id)"}
    made = compiled(reader, {"steps": [wait, SEND]})
    assert made.steps[0].until is not None
    reader.execute("UPDATE shop.orders SET shipped_at = '2026-06-01T10:00:00Z' WHERE id = 1")
    assert instants(reader, made.steps[0].until, orders(1, 2), NOW) == {101: NOW, 102: None}


def test_a_date_means_nine_in_the_projects_zone(reader: Connection[Any]) -> None:
    workflow = parse_spec(
        {
            "workflow": "t2",
            "about": "x",
            "trigger": {"change": "shop.orders", "becomes": "status = 'shipped'"},
            "steps": [{"wait": "a", "until": "local_date(event.at, 'UTC') + 3"}, SEND],
        }
    )
    zoned = catalog(reader).model_copy(update={"zone": "America/New_York"})
    made = compile_workflow(workflow, zoned, describe=lambda sql: describe(reader, sql), texts=lambda _s, _p: ())
    assert made.steps[0].until is not None
    assert instants(reader, made.steps[0].until, orders(1), NOW) == {101: datetime(2026, 6, 4, 13, tzinfo=UTC)}


@pytest.mark.parametrize(
    ("until", "says"),
    [("(event.at AT TIME ZONE 'UTC') + interval '1 day'", "without a zone"), ("'2026-06-01'", "Gives text")],
)
def test_an_until_that_is_no_instant_is_refused(reader: Connection[Any], until: str, says: str) -> None:
    with pytest.raises(Invalid, match=says):
        compiled(reader, {"steps": [{"wait": "a", "until": until}, SEND]})


def test_percent_signs_stay_what_they_are(reader: Connection[Any]) -> None:
    sql = "SELECT p.title || '%(now)s %s' AS t, p.stock % 3 AS rest FROM shop.products p WHERE p.title LIKE '100\\%%'"
    made = compiled(reader, {"steps": [{"query": "q", "sql": sql}, SEND]})
    assert made.steps[0].query is not None
    found = run_statement(reader, made.steps[0].query, orders(1), NOW)
    assert found == {101: [{"t": "100% Mug%(now)s %s", "rest": 2}]}


def test_too_many_rows_are_an_error_of_that_run(reader: Connection[Any]) -> None:
    sql = "SELECT i.product_id FROM shop.order_items i WHERE i.order_id = new.id OR new.id = 1"
    made = compiled(reader, {"steps": [{"query": "q", "sql": sql}, SEND]})
    assert made.steps[0].query is not None
    with pytest.raises(RowCapExceeded) as error:
        run_statement(reader, made.steps[0].query, orders(1, 2), NOW, cap=2)
    assert error.value.run_ids == (101,)


def test_live_rows_for_texts_are_read_by_key(reader: Connection[Any]) -> None:
    send = {**SEND, "texts": [{"subject": "{{ live.status }}", "body": "{{ live['total_cents'] }} {{ new.currency }}"}]}
    made = compiled(reader, {"steps": [send]})
    assert made.live is not None
    assert [c.name for c in made.live.columns] == ["status", "total_cents"]
    found = run_statement(reader, made.live, orders(2, 99), NOW)
    assert found == {102: [{"status": "paid", "total_cents": 200}]}


def test_a_domain_that_refuses_null_does_not_break_a_partial_payload(reader: Connection[Any]) -> None:
    reader.execute(
        "CREATE DOMAIN shop.must AS text NOT NULL;"
        "CREATE TABLE shop.parcels (a int, b text, note shop.must, state text, customer_id int, PRIMARY KEY (a, b))"
    )
    reader.execute("INSERT INTO shop.parcels VALUES (1, 'x', 'n', 'lost', 1)")
    trigger = {"change": "shop.parcels", "becomes": "state = 'lost'"}
    made = compiled(reader, {"trigger": trigger, "while": "live.state = 'lost'"})
    assert made.match is not None
    assert made.match.hook_columns == ("a", "b", "state", "customer_id")
    assert made.while_ is not None
    assert made.steps[0].query is not None
    new: list[str | None] = ['{"a": 1, "b": "x", "customer_id": 1}', '{"a": 1, "b": "y", "customer_id": 2}']
    batch = Batch(ids=[1, 2], at=[NOW] * 2, new=new)
    assert holds(reader, made.while_, batch, NOW) == {1: True, 2: False}
    assert set(run_statement(reader, made.steps[0].query, batch, NOW)) == {1, 2}
