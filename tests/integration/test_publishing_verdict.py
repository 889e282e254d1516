"""The verdict: everything in one answer, and a digest that names exactly what would run."""

from collections.abc import Callable
from typing import Any

import pytest
from psycopg import Connection

from runtime.ledger.database import Ledger
from runtime.publishing.reach import add_contact, set_mode
from runtime.publishing.verdict import Verdict, judge
from runtime.source.reader import Source
from runtime.spec.schema import AddressKind
from runtime.spec.yaml import parse_spec
from tests.publishing import SEND, spec

COSTLY = (
    "SELECT c.id AS key, c.email FROM shop.customers c, generate_series(1, 1000000) a, generate_series(1, 9) b"
    " ORDER BY a"
)
Judge = Callable[..., Verdict]
pytestmark = pytest.mark.usefixtures("approved")


@pytest.fixture
def verdict(source: Source, ledger: Ledger) -> Judge:
    """Judge a spec that is built of its parts."""
    return lambda **parts: judge(source, ledger, parse_spec(spec(**parts)))


def _codes(found: Verdict) -> list[tuple[str, str]]:
    return [(problem.path, problem.code) for problem in found.problems]


def test_a_good_workflow_is_compiled_with_its_texts(verdict: Judge) -> None:
    found = verdict()
    assert found.problems == ()
    assert found.compiled is not None
    assert [text.subject for text in found.compiled.steps[0].texts] != [""]
    assert found.compiled.reads == ("shop.customers", "shop.orders")
    assert len(found.digest) == len(found.fingerprint) == 64
    assert found.words.endswith("tell shop.customers where c.id = new.customer_id by e-mail “Order {{ new.id }}”.")


def test_every_kind_of_mistake_is_told_at_once_and_in_the_order_of_the_spec(
    verdict: Judge, app: Connection[Any]
) -> None:
    app.execute("DELETE FROM tidings.approved_table WHERE relation = 'shop.reviews'")
    found = verdict(
        if_="new.total_cents > 'many'",  # types: the server alone knows
        while_="live.state = 'shipped'",  # an unknown column
        steps=[
            {"query": "words", "sql": "SELECT r.body FROM shop.reviews r"},  # a table that nobody approved
            {"query": "odd", "sql": "SELECT p.title FROM shop.products p WHERE p.sku = p.stock"},  # no such operator
            {"query": "after", "sql": "SELECT o.title FROM odd o"},  # fine but for the one before it
            {"wait": "a-while", "for": "3 dys"},  # a duration
            {**SEND, "texts": [{"subject": "x", "body": "{{ new.statuss }} {{ words[0].body }}"}]},  # the text
            {**SEND, "send": "again", "category": "marketing"},  # the shape of the step
            {**SEND, "send": "costly", "to": COSTLY},
        ],
    )
    assert _codes(found) == [
        ("/if", "bad-value"),
        ("/while", "unknown-column"),
        ("/steps/0/sql", "unknown-table"),
        ("/steps/1/sql", "unknown-function"),
        ("/steps/3/for", "bad-duration"),
        ("/steps/4/texts/0/body", "unknown-column"),
        ("/steps/5/topic", "missing-topic"),
        ("/steps/6/to", "too-expensive"),
    ]
    assert (found.compiled, found.digest, found.fingerprint) == (None, "", "")
    assert all(problem.fix for problem in found.problems)


def test_what_the_server_refuses_is_told_once_and_not_again_by_what_reads_it(verdict: Judge) -> None:
    steps = [
        {"query": "odd", "sql": "SELECT p.title, p.sku + 1 AS n FROM shop.products p"},
        {
            **SEND,
            "if": "EXISTS (SELECT FROM odd o WHERE o.n > 1)",
            "texts": [{"subject": "x", "body": "{{ odd | length }}"}],
        },
    ]
    assert _codes(verdict(steps=steps)) == [("/steps/0/sql", "unknown-function")]


def test_an_unknown_table_is_one_problem_and_hides_none_in_the_steps(verdict: Judge) -> None:
    steps = [{"query": "odd", "sql": "SELECT p.sku = p.stock AS same FROM shop.products p"}, SEND]
    found = verdict(trigger={"change": "shop.oders", "ops": ["insert"]}, steps=steps)
    assert _codes(found) == [("/trigger/change", "unknown-table"), ("/steps/0/sql", "unknown-function")]


def test_a_right_that_only_execution_needs_is_found(source: Source, ledger: Ledger, app: Connection[Any]) -> None:
    app.execute(
        "DROP ROLE IF EXISTS hidden; CREATE ROLE hidden; CREATE VIEW shop.people AS SELECT id, email FROM shop.staff;"
        "ALTER VIEW shop.people OWNER TO hidden; INSERT INTO tidings.approved_table VALUES (1, 'shop.people');"
        "INSERT INTO tidings.address_column VALUES (1, 'shop.people', 'email', 'email')"
    )
    try:
        send = {**SEND, "to": "SELECT p.id AS key, p.email FROM shop.people p"}
        found = judge(source, ledger, parse_spec(spec(steps=[send])))
        assert _codes(found) == [("/steps/0/to", "not-readable")]
    finally:
        app.execute("DROP OWNED BY hidden; DROP ROLE hidden")


def test_warnings_stop_nothing(verdict: Judge) -> None:
    found = verdict(steps=[{**SEND, "to": "SELECT c.email FROM shop.customers c WHERE c.id = new.customer_id"}])
    assert [problem.code for problem in found.warnings] == ["no-preheader", "no-key"]
    assert found.digest


def test_the_digest_is_the_same_however_the_spec_is_spelt(source: Source, ledger: Ledger) -> None:
    one = judge(source, ledger, parse_spec(spec()))
    other = judge(source, ledger, parse_spec({**spec(), "if": "", "while": None}))
    assert one.digest == other.digest


CHANGES: list[tuple[str, dict[str, Any]]] = [
    ("the sentence", {"about": "Tells them."}),
    ("the condition", {"trigger": {"change": "shop.orders", "becomes": "status = 'paid'"}}),
    ("the recipients", {"steps": [{**SEND, "to": SEND["to"] + " AND c.marketing_opt_in"}]}),
    ("the words", {"steps": [{**SEND, "texts": [{"subject": "Order", "body": "Hello."}]}]}),
    ("a wait", {"steps": [{"wait": "w", "for": "1 day"}, SEND]}),
]


@pytest.mark.parametrize(("_what", "parts"), CHANGES, ids=[what for what, _ in CHANGES])
def test_the_digest_changes_with(verdict: Judge, _what: str, parts: dict[str, Any]) -> None:
    assert verdict(**parts).digest not in ("", verdict().digest)


def test_the_digest_changes_with_the_mode_and_with_a_contact_s_address(verdict: Judge, ledger: Ledger) -> None:
    parts = {"steps": [{**SEND, "to": "SELECT 'ops' AS key, contact('ops') AS email"}]}
    first = verdict(**parts)
    add_contact(ledger, "ops", kind=AddressKind.EMAIL, address="other@x.test")
    second = verdict(**parts)
    set_mode(ledger, "production")
    third = verdict(**parts)
    assert first.problems == ()
    assert len({first.digest, second.digest, third.digest}) == 3
    assert (second.fingerprint, third.mode) == (first.fingerprint, "production")


DRIFT = [
    ("ALTER TABLE shop.customers ALTER email TYPE varchar(200)", True),
    ("ALTER TABLE shop.orders ALTER status DROP NOT NULL", True),
    (
        "ALTER TABLE shop.orders DROP CONSTRAINT orders_pkey CASCADE, ADD PRIMARY KEY (id, status)",
        True,
    ),
    ("ALTER TABLE shop.orders ADD COLUMN note text CHECK (note <> 'x')", False),
    ("ALTER TABLE shop.orders ALTER shipped_at TYPE date", False),
    ("ALTER TABLE shop.products ADD COLUMN note text", False),
    ("COMMENT ON COLUMN shop.orders.status IS 'Where it is.'", False),
]


@pytest.mark.parametrize(("change", "drifts"), DRIFT)
def test_the_fingerprint_is_of_what_the_workflow_names(
    verdict: Judge, app: Connection[Any], change: str, drifts: bool
) -> None:
    before = verdict()
    app.execute(change.encode())
    after = verdict()
    assert (before.fingerprint != after.fingerprint) is drifts
    assert (before.digest != after.digest) is drifts
