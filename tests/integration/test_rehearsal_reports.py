import json
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import Connection

from runtime.errors import Invalid
from runtime.ledger.database import Ledger
from runtime.postgres.server import PostgresServer
from runtime.publishing.approvals import prepare_publish
from runtime.publishing.drafts import save_draft
from runtime.publishing.reports import load_report
from runtime.publishing.verdict import judge
from runtime.rehearsal.rehearse import rehearse
from runtime.rehearsal.report import Report, ScenarioResult
from runtime.source.reader import Source
from runtime.spec.model import Workflow
from runtime.spec.yaml import load_spec, parse_spec
from tests.fresh_database import snapshot

EXAMPLES = Path(__file__).parents[2] / "examples"
CUSTOMER = "SELECT c.id AS key, c.email FROM shop.customers c WHERE c.id = new.customer_id"
SHIPPED = {"change": "shop.orders", "becomes": "status = 'shipped'"}

pytestmark = pytest.mark.usefixtures("approved")


def _workflow(
    trigger: dict[str, Any], to: str, *before: dict[str, Any], channels: str = "email", **more: Any
) -> Workflow:
    send = {"send": "tell", "to": to, "channels": [channels], "texts": [{"subject": "Hello", "body": "It happened."}]}
    return parse_spec({"workflow": "case", "about": "x", "trigger": trigger, "steps": [*before, send], **more})


@pytest.fixture
def play(source: Source, ledger: Ledger, server: PostgresServer) -> Any:
    def play(workflow: Workflow) -> Report:
        return rehearse(source, ledger, server, workflow)

    return play


def _by_name(report: Report) -> dict[str, ScenarioResult]:
    return {scenario.name: scenario for scenario in report.scenarios}


@pytest.mark.parametrize("name", ["low-stock", "order-shipped", "review-request"])
def test_every_example_passes_with_a_message_in_its_first_scenario(play: Any, name: str) -> None:
    report = play(load_spec((EXAMPLES / f"{name}.yaml").read_text()))
    assert report.passed, "\n".join(report.lines())
    assert report.scenarios[0].name == "an update into the state"
    assert len(report.scenarios[0].got) == 1
    assert report.scenarios[0].got[0].address.endswith("@example.test")
    statuses = {scenario.name: scenario.status for scenario in report.scenarios}
    for expected in (
        "an insert that arrives in the state",
        "a row that does not match",
        "a later update that changes nothing of it",
        "a delete, which is not asked for",
        "the change is rolled back",
        "three rows in one statement",
    ):
        assert statuses[expected] == "passed", expected


def test_a_wait_is_looked_at_a_second_before_and_when_it_is_over_and_while_can_break_it(play: Any) -> None:
    found = _by_name(play(load_spec((EXAMPLES / "review-request.yaml").read_text())))
    assert found["wait use-it, just before"].done == "advance to 2026-06-04 11:59:59Z"
    assert found["wait use-it, just before"].got == ()
    assert [one.at for one in found["wait use-it, over"].got] == ["2026-06-04T12:00:00+00:00"]
    broken = found["`while` stops holding during the first wait"]
    assert (broken.status, broken.got) == ("passed", ())
    assert "half-way through the wait UPDATE shop.orders: status delivered →" in broken.done


HARDER: dict[str, tuple[Workflow, int]] = {
    "joined through a row that must be changed to fit": (
        _workflow(
            {"change": "shop.reviews", "ops": ["insert"], "when": "new.stars <= 2"},
            "SELECT c.id AS key, c.email FROM shop.customers c JOIN shop.orders o ON o.customer_id = c.id"
            " JOIN shop.order_items i ON i.order_id = o.id AND i.product_id = new.product_id"
            " WHERE c.id = new.customer_id AND c.marketing_opt_in AND o.status = 'delivered'",
        ),
        1,
    ),
    "a count over other rows": (
        _workflow(
            {"change": "shop.orders", "ops": ["insert"]},
            CUSTOMER,
            **{"if": "(SELECT count(*) FROM shop.orders o WHERE o.customer_id = new.customer_id) >= 3"},
        ),
        1,
    ),
    "a sum over other rows": (
        _workflow(
            {"change": "shop.order_items", "ops": ["insert"]},
            "SELECT s.id AS key, s.email FROM shop.staff s WHERE s.role = 'finance'",
            **{
                "if": "(SELECT sum(i.qty * p.price_cents) FROM shop.order_items i JOIN shop.products p"
                " ON p.id = i.product_id WHERE i.order_id = new.order_id) > 100000"
            },
        ),
        1,
    ),
    "before and after compared": (
        _workflow(
            {"change": "shop.customers", "columns": ["plan"], "when": "new.plan > old.plan"},
            "SELECT c.id AS key, c.email FROM shop.customers c WHERE c.id = new.id AND c.plan = new.plan",
        ),
        1,
    ),
    "a deleted row": (
        _workflow(
            {"change": "shop.order_items", "ops": ["delete"], "when": "old.qty > 5"},
            "SELECT c.id AS key, c.email FROM shop.orders o JOIN shop.customers c ON c.id = o.customer_id"
            " WHERE o.id = old.order_id",
        ),
        1,
    ),
    "a CTE, IN and the time at which it is due": (
        _workflow(
            SHIPPED,
            "WITH fresh AS (SELECT c.id, c.email FROM shop.customers c WHERE c.created_at > :now - interval '1 day')"
            " SELECT f.id AS key, f.email FROM fresh f WHERE f.id IN (SELECT o.customer_id FROM shop.orders o"
            " WHERE o.id = new.id)",
            {"wait": "long", "until": "new.placed_at + interval '40 days'"},
        ),
        1,
    ),
    "everybody of a kind": (
        _workflow(SHIPPED, "SELECT s.id AS key, s.email FROM shop.staff s WHERE s.role IN ('support', 'finance')"),
        1,
    ),
    "a contact": (_workflow(SHIPPED, "SELECT contact('ops') AS email"), 1),
}


@pytest.mark.parametrize("case", HARDER)
def test_rows_are_found_that_end_in_a_message(play: Any, case: str) -> None:
    workflow, count = HARDER[case]
    report = play(workflow)
    assert report.passed, "\n".join(report.lines())
    assert len(report.scenarios[0].got) == count


def test_a_schedule_is_looked_at_before_and_at_its_slot_with_and_without_items(play: Any) -> None:
    each = (
        "SELECT o.id, o.customer_id FROM shop.orders o WHERE o.status = 'delivered'"
        " AND o.delivered_at > event.at - interval '1 day'"
    )
    trigger = {"schedule": "30 7 * * 1-5", "zone": "Europe/Paris", "each": each, "key": ["id"]}
    to = "SELECT c.id AS key, c.email FROM shop.customers c WHERE c.id = item.customer_id"
    report = play(_workflow(trigger, to, {"wait": "b", "for": "90 minutes"}))
    assert report.passed, "\n".join(report.lines())
    found = _by_name(report)
    assert [one.at for one in found["at the slot"].got] == ["2026-06-02T07:00:00+00:00"]
    assert found["just before the slot"].status == "passed"
    assert found["wait b, just before"].status == "passed"
    assert found["at the slot, with nothing in the tables"].status == "passed"


def test_a_state_that_every_row_is_in_from_the_beginning_can_only_be_arrived_in(play: Any) -> None:
    to = "SELECT s.id AS key, s.email FROM shop.staff s WHERE s.role = 'support'"
    report = play(_workflow({"change": "shop.reviews", "becomes": "stars >= 1"}, to))
    scenarios = _by_name(report)
    assert scenarios["an update into the state"].status == "not applicable"
    assert scenarios["three rows in one statement"].status == "passed"
    assert report.passed, "\n".join(report.lines())


def test_a_view_is_seen_through_to_the_tables_below_it(play: Any, app: Connection[Any]) -> None:
    app.execute(
        "CREATE VIEW shop.reachable AS SELECT c.id AS customer, c.email,"
        " CASE WHEN c.marketing_opt_in THEN 'yes' END AS ok"
        " FROM (shop.customers c JOIN shop.orders o ON o.customer_id = c.id) WHERE o.placed_at <= now();"
        "INSERT INTO tidings.approved_table VALUES (1, 'shop.reachable');"
        "INSERT INTO tidings.address_column VALUES (1, 'shop.reachable', 'email', 'email')"
    )
    to = "SELECT r.customer AS key, r.email FROM shop.reachable r WHERE r.customer = new.customer_id AND r.ok = 'yes'"
    report = play(_workflow(SHIPPED, to))
    assert report.passed, "\n".join(report.lines())


def test_a_send_that_told_nobody_beside_one_that_did_is_named(play: Any) -> None:
    never = {
        "send": "escalate",
        "to": "SELECT s.id AS key, s.email FROM shop.staff s WHERE s.id < 0 AND s.id > 0",
        "channels": ["email"],
        "texts": [{"subject": "Hello", "body": "It happened."}],
    }
    report = play(_workflow(SHIPPED, CUSTOMER, never))
    assert report.passed
    silent = _by_name(report)["send escalate"]
    assert (silent.status, silent.reason) == (
        "not applicable",
        "it told nobody with these rows; look at a preview of it",
    )


def test_people_without_an_address_are_not_told_and_that_is_recorded(play: Any) -> None:
    to = "SELECT c.id AS key, c.slack_handle AS slack FROM shop.customers c WHERE c.id = new.customer_id"
    found = _by_name(play(_workflow(SHIPPED, to, channels="slack")))
    assert found["an update into the state"].got[0].address == "@ada1"
    assert found["a person without an address"].status == "passed"
    assert found["a person without an address"].done.startswith("shop.customers without slack_handle; UPDATE")


def test_null_is_tried_where_a_column_may_hold_it(play: Any) -> None:
    trigger = {"change": "shop.orders", "becomes": "delivered_at > placed_at"}
    found = _by_name(play(_workflow(trigger, CUSTOMER)))
    assert found["a row that holds NULL"].status == "passed"


def test_if_that_does_not_hold_tells_nobody(play: Any) -> None:
    found = _by_name(play(_workflow(SHIPPED, CUSTOMER, **{"if": "new.total_cents > 5000"})))
    turned_away = found["the trigger matches and `if` does not hold"]
    assert (turned_away.status, turned_away.got) == ("passed", ())
    assert "total_cents 5000" in turned_away.done


@pytest.mark.parametrize(
    "to",
    [
        "SELECT s.id AS key, s.email FROM shop.staff s WHERE s.role = 'support' AND length(s.role) > 50",
        f"{CUSTOMER} AND NOT EXISTS (SELECT FROM shop.orders o WHERE o.customer_id = c.id)",
    ],
)
def test_a_workflow_that_tells_nobody_does_not_pass_and_says_so(play: Any, to: str) -> None:
    report = play(_workflow(SHIPPED, to))
    assert not report.passed
    assert report.summary.startswith("nobody would be told: ")
    assert "`to` of tell returns nobody" in report.summary
    assert report.scenarios[0].status == "inconclusive"


def test_a_condition_that_no_row_can_meet_does_not_pass(play: Any) -> None:
    trigger = {"change": "shop.orders", "becomes": "total_cents * 7 = 91 AND status = 'paid'"}
    report = play(_workflow(trigger, CUSTOMER))
    assert not report.passed
    assert "No row of shop.orders was found" in report.summary


def test_the_report_is_kept_for_exactly_what_would_be_published_and_opens_the_gate(
    source: Source, ledger: Ledger, server: PostgresServer
) -> None:
    draft = save_draft(ledger, (EXAMPLES / "order-shipped.yaml").read_text(), author="ana")
    assert prepare_publish(ledger, source, draft.name, requested_by="ana").approval_id is None
    told: list[str] = []
    report = rehearse(source, ledger, server, draft.workflow, progress=told.append)
    assert report.digest == judge(source, ledger, draft.workflow).digest
    stored = load_report(ledger, report.digest)
    assert stored is not None
    assert stored.passed
    assert stored.report == json.loads(json.dumps(report.to_json()))
    assert prepare_publish(ledger, source, draft.name, requested_by="ana").approval_id is not None
    assert told[:2] == ["Judging the workflow", "Cloning the shape of 2 table(s)"]
    assert "an update into the state: passed" in told


def test_two_rehearsals_of_one_workflow_say_the_same(play: Any) -> None:
    workflow = load_spec((EXAMPLES / "review-request.yaml").read_text())
    assert play(workflow) == play(workflow)


def test_nothing_but_the_report_is_written_and_no_row_is_read(
    server: PostgresServer, database: str, app: Connection[Any], ledger: Ledger
) -> None:
    app.execute(
        "INSERT INTO shop.customers (id, email) VALUES (1, 'real@person.example');"
        "DROP ROLE IF EXISTS blind; CREATE ROLE blind; GRANT USAGE ON SCHEMA shop TO blind;"
        "GRANT SELECT ON ALL TABLES IN SCHEMA shop TO blind"
    )
    before = snapshot(database), _everything(app)
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("SELECT pg_stat_reset()")
    with Source(f"{database}?options=-c%20role%3Dblind") as source:
        report = rehearse(source, ledger, server, _workflow(SHIPPED, CUSTOMER))
    assert report.passed
    assert (snapshot(database), _everything(app)) == before
    assert "real@person.example" not in json.dumps(report.to_json())
    databases = {row[0] for row in app.execute("SELECT datname FROM pg_database")}
    assert not [name for name in databases if name.startswith("tidings_world_")]


def _everything(app: Connection[Any]) -> list[tuple[str, int]]:
    """Count the rows of every table but that of the reports."""
    names = app.execute(
        "SELECT c.oid::regclass::text FROM pg_class c WHERE c.relkind = 'r' AND c.relnamespace::regnamespace::text"
        " IN ('shop', 'tidings') AND c.relname <> 'rehearsal_report' ORDER BY 1"
    ).fetchall()
    return [(name, app.execute(f"SELECT count(*) FROM {name}").fetchall()[0][0]) for (name,) in names]


def test_a_workflow_with_problems_is_not_rehearsed_and_nothing_is_kept(play: Any, app: Connection[Any]) -> None:
    with pytest.raises(Invalid, match="unknown column 'nme'"):
        play(_workflow(SHIPPED, "SELECT c.email, c.nme FROM shop.customers c"))
    assert app.execute("SELECT count(*) FROM tidings.rehearsal_report").fetchall() == [(0,)]


def test_what_did_not_take_part_is_said(play: Any, app: Connection[Any]) -> None:
    app.execute(
        "CREATE FUNCTION shop.touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
        "CREATE TRIGGER touched BEFORE UPDATE ON shop.orders FOR EACH ROW EXECUTE FUNCTION shop.touch()"
    )
    report = play(_workflow(SHIPPED, CUSTOMER))
    assert report.passed
    assert report.not_cloned == ("shop.orders: trigger touched",)
    assert "Not part of the rehearsal:" in report.lines()
