"""What a compiled workflow holds: the match and its prefilter, what is captured and read, statements, names."""

import re
from typing import Any

import pytest
import sqlglot

from runtime.errors import Invalid, Problem
from runtime.spec.compile import compile_sound_parts, compile_workflow
from runtime.spec.compiled import CompiledText, CompiledWorkflow, Match, Statement
from runtime.spec.model import SendStep
from runtime.spec.names import Names, names_in_scope
from runtime.spec.schema import Column
from runtime.spec.yaml import parse_spec
from tests.spec_catalog import shop, table

SEND: dict[str, Any] = {
    "send": "tell",
    "to": "SELECT c.id AS key, c.email FROM shop.customers c WHERE c.id = new.customer_id",
    "channels": ["email"],
    "texts": [{"subject": "x", "body": "y"}],
}
STAFF = {**SEND, "to": "SELECT s.id AS key, s.email FROM shop.staff s"}


def spec(
    trigger: dict[str, Any] | None = None, *, if_: str = "", while_: str = "", steps: Any = (SEND,)
) -> dict[str, Any]:
    """Build a spec; what is not said is an order that becomes shipped."""
    usual = {"change": "shop.orders", "becomes": "status = 'shipped'"}
    whole = {"workflow": "test", "about": "x", "trigger": trigger or usual, "steps": list(steps)}
    return {**whole, "if": if_, "while": while_}


def compiled(data: dict[str, Any], *columns: Column) -> CompiledWorkflow:
    """Compile with a server that describes every query as these columns."""
    described = (Column(name="run_id", type="bigint"), *columns)

    def texts(step: SendStep, path: str) -> tuple[CompiledText, ...]:
        return (CompiledText(locale="", channel="", subject=step.send, html="", text=path),)

    return compile_workflow(parse_spec(data), shop(), describe=lambda _sql: described, texts=texts)


def match(trigger: dict[str, Any]) -> Match:
    """Return how a trigger matches."""
    steps = [STAFF]
    found = compiled(spec(trigger, steps=steps)).match
    assert found is not None
    return found


BECOMES = [
    ("status = 'shipped'", "n.\"status\" = 'shipped'", "o.\"status\" = 'shipped'"),
    ("stock <= reorder_level", 'n."stock" <= n."reorder_level"', 'o."stock" <= o."reorder_level"'),
    ("lower(status) = 'shipped'", "true", None),
    ("status = 'paid' AND lower(status) = 'paid'", "n.\"status\" = 'paid'", None),
    ("status = 'paid' OR lower(status) = 'paid'", "true", None),
    ("NOT (status = 'paid' AND lower(status) = 'paid')", "true", None),
    ("NOT (status = 'paid' OR lower(status) = 'paid')", "NOT (n.\"status\" = 'paid')", None),
    ("status LIKE 'p%'", "true", None),
    ("total_cents + 1 > 5", "true", None),
    ("5 < total_cents", '5 < n."total_cents"', '5 < o."total_cents"'),
    ("total_cents IN (1, -2)", 'n."total_cents" IN (1, -2)', 'o."total_cents" IN (1, -2)'),
    ("shipped_at IS NOT NULL", 'n."shipped_at" IS NOT NULL', 'o."shipped_at" IS NOT NULL'),
    ("placed_at > '2026-01-01'", "true", None),
    (
        "placed_at > '2026-01-01 00:00Z'",
        "n.\"placed_at\" > '2026-01-01 00:00Z'",
        "o.\"placed_at\" > '2026-01-01 00:00Z'",
    ),
    ("status = currency", "true", None),
    (
        "total_cents BETWEEN 1 AND 5",
        '(n."total_cents" >= 1) AND (n."total_cents" <= 5)',
        '(o."total_cents" >= 1) AND (o."total_cents" <= 5)',
    ),
]


@pytest.mark.parametrize(("becomes", "new", "old"), BECOMES)
def test_the_prefilter_keeps_what_is_safe_in_a_hook(becomes: str, new: str, old: str | None) -> None:
    relation = "shop.products" if "stock" in becomes else "shop.orders"
    found = match({"change": relation, "becomes": becomes}).prefilter
    assert found == {"insert": new, "update": new if old is None else f"({new}) AND (({old}) IS NOT TRUE)"}


def test_columns_and_when_are_prefiltered_per_operation() -> None:
    trigger = {
        "change": "shop.orders",
        "ops": ["insert", "update", "delete"],
        "columns": ["status", "total_cents"],
        "when": "new.status = 'paid' AND old.total_cents > 5",
    }
    found = match(trigger)
    assert found.ops == ("insert", "update", "delete")
    assert found.prefilter == {
        "insert": "n.\"status\" = 'paid'",
        "update": (
            '((n."status" IS DISTINCT FROM o."status") OR (n."total_cents" IS DISTINCT FROM o."total_cents"))'
            ' AND ((n."status" = \'paid\') AND (o."total_cents" > 5))'
        ),
        "delete": 'o."total_cents" > 5',
    }


def test_the_exact_condition_is_an_edge_and_never_null() -> None:
    assert match({"change": "shop.orders", "becomes": "total_cents % 7 = 1 OR status LIKE '%x'"}).condition == (
        "\"event\".\"op\" IN ('insert', 'update') AND"
        ' ((pg_catalog.mod("new"."total_cents", 7) = 1 OR "new"."status" LIKE U&\'\\0025x\') IS TRUE AND'
        ' ("event"."op" = \'insert\' OR'
        ' (pg_catalog.mod("old"."total_cents", 7) = 1 OR "old"."status" LIKE U&\'\\0025x\') IS NOT TRUE))'
    )


def test_a_whole_row_in_when_can_not_be_taken_for_a_column() -> None:
    found = match({"change": "shop.orders", "ops": ["update"], "when": "new IS DISTINCT FROM old"})
    assert found.condition == '"event"."op" IN (\'update\') AND (("new".* IS DISTINCT FROM "old".*) IS TRUE)'
    assert len(found.hook_columns) == 8
    assert found.prefilter == {"update": "true"}


def printing(**text: Any) -> dict[str, Any]:
    """Build a spec whose only text is this."""
    return spec(steps=[{**SEND, "texts": [{"subject": "x", **text}]}])


EACH = [{"type": "items", "each": "new.currency", "columns": [{"label": "a", "value": "b"}]}]
HOOKED = [
    (spec(), "id customer_id status"),
    (spec({"change": "shop.orders", "columns": ["currency"]}), "id customer_id currency"),
    (spec(while_="live.total_cents > 1"), "id customer_id status"),
    (spec(if_="new.placed_at < :now"), "id customer_id status placed_at"),
    (spec(steps=[{"wait": "w", "until": "new.shipped_at"}, SEND]), "id customer_id status shipped_at"),
    (printing(subject="{{ new.currency }}", body="y"), "id customer_id status currency"),
    (printing(body="{% if old['total_cents'] %}{{ live.currency }}{% endif %}"), "id customer_id status total_cents"),
    (printing(blocks=EACH), "id customer_id status currency"),
    (
        printing(body="{% for c in new %}{{ c }}{% endfor %}"),
        "id customer_id status total_cents currency placed_at shipped_at delivered_at",
    ),
]
AT = Column(name="at", type="timestamp with time zone", base="timestamp with time zone")


@pytest.mark.parametrize(("data", "columns"), HOOKED)
def test_a_hook_captures_what_is_named_and_the_key(data: dict[str, Any], columns: str) -> None:
    found = compiled(data, AT)
    assert found.match is not None
    assert " ".join(found.match.hook_columns) == columns
    assert found.match.key == ("id",)


def test_everything_that_is_read_is_listed_for_grants_and_drift() -> None:
    steps = [{"query": "q", "sql": "SELECT p.title FROM shop.products p"}, {**SEND, "if": "live.currency = 'EUR'"}]
    found = compiled(spec(steps=steps), Column(name="title", type="text"))
    assert found.reads == ("shop.customers", "shop.orders", "shop.products")
    assert found.columns_read == (
        "shop.customers.email",
        "shop.customers.id",
        "shop.orders.currency",
        "shop.orders.customer_id",
        "shop.orders.id",
        "shop.orders.status",
        "shop.products.title",
    )


def statements(found: CompiledWorkflow) -> list[Statement]:
    """Return every statement of a compiled workflow."""
    parts = [found.each, found.condition, found.while_, found.live]
    parts += [part for step in found.steps for part in (step.condition, step.query, step.until)]
    return [part for part in parts if part is not None]


def test_every_statement_is_sql_with_known_parameters_only() -> None:
    steps = [
        {"query": "q", "sql": "SELECT o.status || '%' AS s, :now AS at FROM shop.orders o WHERE o.id % 2 = old.id"},
        {"wait": "w", "until": "event.at + interval '1 day'", "if": "EXISTS (SELECT FROM q)"},
        {
            **SEND,
            "if": "EXISTS (SELECT FROM q x WHERE x.s = new.status)",
            "texts": [{"subject": "{{ live.id }}", "body": "y"}],
        },
    ]
    columns = [Column(name="s", type="text"), AT]
    found = compiled(spec(steps=steps, if_="live.id > 1", while_="live.status = 'shipped'"), *columns)
    assert len(statements(found)) == 8
    for statement in statements(found):
        text = re.sub(r"%\((ids|new|old|at|item|context|now|cap)\)s", "NULL", statement.sql)
        assert "%" not in text.replace("%%", "")
        assert isinstance(sqlglot.parse_one(text.replace("%%", "%"), dialect="postgres"), sqlglot.exp.Select)


def test_durations_are_counted_outside_sql() -> None:
    step = compiled(spec(steps=[{"wait": "w", "for": "1 month 2 days"}, SEND])).steps[0]
    assert (step.kind, step.seconds, step.months, step.until) == ("wait", 172_800.0, 1, None)


def test_texts_are_compiled_with_the_place_of_their_step() -> None:
    assert compiled(spec(steps=[{"wait": "w", "for": "1 day"}, SEND])).steps[1].texts[0].text == "/steps/1"


def test_an_invalid_workflow_does_not_compile() -> None:
    with pytest.raises(Invalid, match="unknown column 'nosuch'"):
        compiled(spec(if_="new.nosuch = 1"))


def test_an_answer_of_the_server_says_where() -> None:
    def describe(_sql: str) -> tuple[Column, ...]:
        raise LookupError("no such operator")

    with pytest.raises(LookupError) as error:
        compile_workflow(parse_spec(spec()), shop(), describe=describe, texts=lambda _step, _path: ())
    assert error.value.__notes__ == ["at /steps/0/to"]


def test_what_the_server_refuses_is_told_at_its_place_and_what_is_sound_is_compiled() -> None:
    def describe(sql: str) -> tuple[Column, ...]:
        if "products" in sql:
            raise Invalid([Problem("", "unknown-function", "No such operator.", "Cast it.")])
        return (Column(name="run_id", type="bigint"), Column(name="key", type="integer"))

    steps = [
        {"query": "odd", "sql": "SELECT p.title FROM shop.products p"},
        {"query": "after", "sql": "SELECT o.title FROM odd o"},
        {"wait": "w", "for": "soon"},
        {**SEND, "if": "EXISTS (SELECT FROM after)"},
    ]
    data = parse_spec(spec(if_="new.nosuch = 1", while_="live.status = 'paid'", steps=steps))
    made = compile_sound_parts(data, shop(), describe=describe, texts=lambda _step, _path: ())
    wrong = [(problem.path, problem.code) for problem in made.problems]
    assert wrong == [("/if", "unknown-column"), ("/steps/0/sql", "unknown-function"), ("/steps/2/for", "bad-duration")]
    assert made.workflow.condition is None
    assert made.workflow.while_ is not None
    assert [step.query is not None for step in made.workflow.steps] == [False, False, False, True]
    assert made.workflow.steps[3].condition is None


def test_names_for_texts_know_what_may_be_null() -> None:
    steps = [
        {"query": "first", "sql": "SELECT p.title, max(p.stock) AS most FROM shop.products p GROUP BY p.title"},
        {**SEND, "to": "SELECT c.id AS key, c.email, c.full_name FROM shop.customers c"},
        {"query": "later", "sql": "SELECT * FROM jsonb_to_recordset('[]') AS x"},
        {**SEND, "send": "again"},
    ]
    found = names_in_scope(parse_spec(spec(steps=steps)), shop(), {"later": [Column(name="a", type="text")]})
    names = found["tell"]
    assert set(names) == {"new", "old", "live", "event", "first", "recipient"}
    assert names["first"] == Names({"title": False, "most": True}, rows=True)
    assert names["recipient"] == Names({"key": False, "email": False, "full_name": True})
    assert names["event"] == Names({"at": False})
    columns = [names[row].columns or {} for row in ("new", "old", "live")]
    assert [c["status"] for c in columns] == [False, True, True]
    assert [c["shipped_at"] for c in columns] == [True, True, True]
    assert found["again"]["later"] == Names({"a": True}, rows=True)
    unknown = names_in_scope(parse_spec(spec(steps=steps)), shop())
    assert unknown["again"]["later"] == Names(None, rows=True)


def test_a_row_that_while_keeps_alive_is_there_for_texts() -> None:
    live = names_in_scope(parse_spec(spec(while_="live.status = 'shipped'")), shop())["tell"]["live"]
    assert (live.columns or {})["status"] is False


def test_a_table_without_a_key_has_no_live_row() -> None:
    catalog = shop(table("log", "id int, line text", key=""))
    data = spec({"change": "shop.log", "ops": ["insert"]}, steps=[STAFF])
    assert set(names_in_scope(parse_spec(data), catalog)["tell"]) == {"new", "event", "recipient"}
