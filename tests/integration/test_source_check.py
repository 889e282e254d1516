from collections.abc import Iterator

import psycopg
import pytest

from runtime.errors import Problem
from runtime.source.check import check_statements
from runtime.source.reader import Source
from runtime.spec.compiled import CompiledStep, CompiledWorkflow, Match, Statement
from runtime.spec.model import Workflow

BATCH = (
    "SELECT run.id AS run_id, q.* FROM unnest(%(ids)s::bigint[], %(new)s::jsonb[]) AS run(id, data) "
    "CROSS JOIN LATERAL jsonb_populate_record(NULL::shop.orders, run.data) AS new "
    "CROSS JOIN LATERAL (SELECT * FROM ({}) a LIMIT %(cap)s + 1) q"
)
SPEC = Workflow.model_validate(
    {
        "workflow": "paid-order",
        "about": "Tells the customer.",
        "trigger": {"change": "shop.orders", "becomes": "status = 'paid'"},
        "steps": [
            {"query": "customer", "sql": "…"},
            {"wait": "a-while", "until": "…"},
            {"send": "tell", "to": "…", "channels": ["email"], "texts": [{}]},
        ],
    }
)


@pytest.fixture
def reader(database: str) -> Iterator[Source]:
    """A reader who may read the orders and the customers' addresses."""
    with psycopg.connect(database, autocommit=True) as admin:
        admin.execute("DROP ROLE IF EXISTS checking; CREATE ROLE checking LOGIN PASSWORD 'checking'")
        admin.execute("GRANT USAGE ON SCHEMA shop TO checking; GRANT SELECT ON shop.orders TO checking")
        admin.execute("GRANT SELECT (id, email) ON shop.customers TO checking")
    with Source("postgresql://checking:checking@" + database.partition("@")[2]) as source:
        yield source
    with psycopg.connect(database, autocommit=True) as admin:
        admin.execute("DROP OWNED BY checking; DROP ROLE checking")


def _compiled(
    *,
    condition: str = "new.status = 'paid' AND (old.status = 'paid') IS NOT TRUE AND event.op <> 'delete'",
    query: str = "SELECT c.email FROM shop.customers c WHERE c.id = new.customer_id",
    until: str = "SELECT new.placed_at + interval '1 hour' AS at",
    to: str = "SELECT c.id AS key, c.email FROM shop.customers c WHERE c.id = new.customer_id",
    prefilter: str = "n.status = 'paid'",
) -> CompiledWorkflow:
    return CompiledWorkflow(
        spec=SPEC,
        match=Match(
            relation="shop.orders",
            hook_columns=("id", "status"),
            key=("id",),
            ops=("insert", "update"),
            prefilter={"insert": prefilter},
            condition=condition,
        ),
        steps=(
            CompiledStep(name="customer", kind="query", query=Statement(sql=BATCH.format(query))),
            CompiledStep(name="a-while", kind="wait", until=Statement(sql=BATCH.format(until))),
            CompiledStep(name="tell", kind="send", query=Statement(sql=BATCH.format(to))),
        ),
        reads=("shop.orders", "shop.customers"),
    )


def _check(source: Source, compiled: CompiledWorkflow) -> list[Problem]:
    with source.read() as conn:
        return check_statements(conn, compiled)


def test_a_workflow_that_the_server_can_plan_has_no_problem(reader: Source) -> None:
    assert _check(reader, _compiled()) == []


def test_every_problem_is_reported_at_its_place(reader: Source) -> None:
    problems = _check(
        reader,
        _compiled(
            condition="new.state = 'paid'",
            query="SELECT c.full_name FROM shop.customers c",
            until="SELECT new.placed_at + 5 AS at",
            to="SELECT s.id AS key, s.email FROM shop.staff s",
        ),
    )
    assert [(problem.path, problem.code) for problem in problems] == [
        ("/trigger/becomes", "unknown-name"),
        ("/steps/0/sql", "not-readable"),
        ("/steps/1/until", "unknown-function"),
        ("/steps/2/to", "not-readable"),
    ]
    assert str(problems[0]).startswith("/trigger/becomes: Postgres says: column new.state does not exist. ")
    assert "tidings doctor --grants" in problems[1].fix
    assert "permission denied for table staff" in problems[3].message


@pytest.mark.parametrize(
    ("to", "code", "said"),
    [
        ("SELECT c.id AS key, c.mail FROM shop.customers c", "unknown-name", 'reference the column "c.email"'),
        ("SELECT id AS key FROM shop.orders WHERE placed_at > 'soon'", "bad-value", "expects it"),
        ("SELECT id AS key FROM shop.orders WHERE frobnicate(id)", "unknown-function", "explicit type casts"),
        ("SELECT id AS key, count(*) FROM shop.orders", "refused-by-postgres", "Change the SQL"),
        (
            "SELECT 1 AS key FROM generate_series(1, 1000000) a, generate_series(1, 1000) b ORDER BY a",
            "too-expensive",
            "indexed",
        ),
    ],
)
def test_a_problem_says_what_to_write_instead(reader: Source, to: str, code: str, said: str) -> None:
    [problem] = _check(reader, _compiled(to=to))
    assert (problem.path, problem.code) == ("/steps/2/to", code)
    assert said in problem.fix


def test_an_enum_label_that_does_not_exist_is_found_in_a_hook_s_filter(reader: Source) -> None:
    [problem] = _check(reader, _compiled(prefilter="n.placed_at = 'x%'"))
    assert (problem.path, problem.code) == ("/trigger/becomes", "bad-value")
