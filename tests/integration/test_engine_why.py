"""Why did, or didn't, somebody get a message: each way in which it can end has its sentence."""

from datetime import UTC, datetime
from typing import Any

import pytest
from psycopg import Connection

from runtime.clock import VirtualClock
from runtime.engine.answer import Explanation
from runtime.engine.claim import claim
from runtime.engine.drain import drain
from runtime.engine.why import explain
from runtime.errors import NotFound
from runtime.ledger.database import Ledger
from runtime.source.reader import Source
from tests.engine_runs import Shop
from tests.publishing import SEND, spec

pytestmark = pytest.mark.usefixtures("approved")
AT = "2026-06-01 12:00:00 UTC"
SHIP = "UPDATE shop.orders SET status = 'shipped' WHERE id = {}"


@pytest.fixture
def shop(app: Connection[Any], ledger: Ledger, source: Source, database: str, clock: VirtualClock) -> Shop:
    return Shop.furnished(app, ledger, source, database, clock)


def why(shop: Shop, **question: Any) -> Explanation:
    return explain(shop.engine.ledger, shop.engine.source, **question)


def told(shop: Shop, **question: Any) -> str:
    return "\n".join(why(shop, **question).lines())


def test_a_message_is_traced_back_to_the_change(shop: Shop) -> None:
    shop.publish(spec(steps=[{"query": "q", "sql": "SELECT 1 AS n"}, {"wait": "a", "for": "1 hour"}, SEND]))
    shop.write(SHIP.format(2))
    shop.pass_time(hours=1)
    answer = why(shop, message_id=1)
    assert answer.lines() == (
        f"shop.orders id = 2 was updated at {AT} (event 1): it started run 1 of shipped, version 1.",
        f"Step q: done at {AT}, 1 row.",
        "Step a: done at 2026-06-01 13:00:00 UTC, after waiting until 2026-06-01 13:00:00 UTC.",
        "Step tell: done at 2026-06-01 13:00:00 UTC, 1 person.",
        "Message 1 of step tell to 2@x.test by email: sent through inbox at 2026-06-01 13:00:00 UTC.",
        "Run 1 is complete at 2026-06-01 13:00:00 UTC.",
    )
    [run] = answer.runs
    assert (run.op, run.key, run.version, run.state) == ("update", {"id": 2}, 1, "completed")
    assert [(step.name, step.status) for step in run.steps] == [("q", "done"), ("a", "done"), ("tell", "done")]
    assert (run.messages[0].status, run.messages[0].provider) == ("sent", "inbox")
    assert why(shop, run_id=1).runs == answer.runs


def test_an_address_is_answered_whatever_its_case_and_first_with_what_reached_it(shop: Shop) -> None:
    shop.publish(spec())
    shop.write(SHIP.format(1))
    shop.write(SHIP.format(2))
    answer = why(shop, address=" 1@X.test ")
    assert [run.id for run in answer.runs] == [1, 2]
    assert [message.address for message in answer.runs[0].messages] == ["1@x.test"]
    assert answer.runs[1].messages == ()
    lines = answer.lines()
    assert "Run 2 made no message for 1@X.test." in lines
    assert "All messages of run 2: 1 sent." in lines
    assert "2@x.test" not in "\n".join(lines), "other people's addresses are nobody's business here"


def outcome(shop: Shop, **parts: Any) -> str:
    """Publish, ship order 1, and ask about its customer."""
    shop.publish(spec(**parts))
    shop.write(SHIP.format(1))
    return told(shop, address="1@x.test")


def test_if_that_did_not_hold(shop: Shop) -> None:
    said = outcome(shop, if_="(SELECT c.marketing_opt_in FROM shop.customers c WHERE c.id = new.customer_id)")
    assert f"Step if: ended at {AT}, because its `if` did not hold." in said
    assert f"Run 1 ended: the workflow's `if` did not hold, so nobody was told at {AT}." in said


def test_while_that_no_longer_held_and_a_row_that_is_gone(shop: Shop) -> None:
    shop.publish(spec(while_="live.status = 'shipped'", steps=[{"wait": "a", "for": "1 hour"}, SEND]))
    shop.write("UPDATE shop.orders SET status = 'shipped' WHERE id < 3")
    shop.app.execute("UPDATE shop.orders SET status = 'cancelled' WHERE id = 1; DELETE FROM shop.orders WHERE id = 2")
    shop.pass_time(hours=1)
    said = told(shop, workflow="shipped")
    assert "Run 1 ended: `while` no longer held at 2026-06-01 13:00:00 UTC." in said
    assert "Run 2 ended: the row was gone at 2026-06-01 13:00:00 UTC." in said


def test_a_skipped_step_and_nobody(shop: Shop) -> None:
    nobody = {**SEND, "send": "finance", "to": "SELECT s.email FROM shop.staff s WHERE s.id = 9"}
    said = outcome(shop, steps=[{**SEND, "if": "new.total_cents > 5000"}, nobody])
    assert f"Step tell: skipped at {AT}, because its `if` did not hold." in said
    assert f"Step finance: done at {AT}, because `to` returned nobody." in said
    assert "Run 1 made no message for 1@x.test." in said


def test_a_waiting_run_says_until_when(shop: Shop) -> None:
    said = outcome(shop, steps=[{"wait": "a-while", "for": "2 days"}, SEND])
    assert f"Step a-while: waiting at {AT}, until 2026-06-03 12:00:00 UTC." in said
    assert "Run 1 waits in step a-while until 2026-06-03 12:00:00 UTC." in said


def test_a_failed_run_says_what_postgres_said(shop: Shop) -> None:
    said = outcome(shop, steps=[{"query": "q", "sql": "SELECT 1 / (new.id - 1) AS n"}, SEND])
    assert f"Step q: failed at {AT}: Postgres says: division by zero." in said
    assert f"Run 1 failed at {AT}: Postgres says: division by zero. Its change is kept: it can be replayed." in said


def test_suppressed_people_and_people_without_an_address(shop: Shop) -> None:
    shop.app.execute("INSERT INTO tidings.suppression VALUES (1, '1@x.test', '', 'bounced', '', now())")
    said = outcome(shop)
    assert "1@x.test is on the suppression list: bounced." in said
    assert (
        "Message 1 of step tell to 1@x.test by email: suppressed "
        "(suppressed: The address is on the suppression list: bounced)." in said
    )
    to = "SELECT c.id AS key, c.slack_handle AS slack FROM shop.customers c WHERE c.id = new.customer_id"
    shop.publish(spec("slack", steps=[{**SEND, "to": to, "channels": ["slack"], "texts": [{"body": "x"}]}]))
    shop.write(SHIP.format(2))
    said = told(shop, workflow="slack")
    assert "Message 3 of step tell to 2 by slack: failed (no_address: There is no address for slack)." in said
    assert "All messages of run 3: 1 failed (no_address)." in told(shop, workflow="slack", address="2@x.test")


def test_a_project_that_is_held_and_a_workflow_that_is_paused(shop: Shop) -> None:
    shop.publish(spec())
    shop.app.execute("UPDATE tidings.workflow SET paused_at = now()")
    shop.write(SHIP.format(1))
    assert "Run 1 rests in step tell: shipped is paused since" in told(shop, address="1@x.test")
    shop.app.execute("UPDATE tidings.project SET held_reason = 'It was restored from a dump.'")
    assert told(shop, address="1@x.test").startswith("Everything is held: It was restored from a dump.")


def test_a_row_tells_its_own_runs_only(shop: Shop) -> None:
    shop.publish(spec())
    shop.write("UPDATE shop.orders SET status = 'shipped'")
    answer = why(shop, row=("shop.orders", "2"))
    assert [run.key for run in answer.runs] == [{"id": 2}]
    assert (answer.trials, answer.counts) == ((), ())
    assert why(shop, row=("shop.orders", {"id": 2})) == answer


def test_a_row_that_started_nothing_is_counted_and_asked_as_it_is_now(shop: Shop) -> None:
    trigger = {"change": "shop.orders", "becomes": "lower(status) = 'shipped'", "when": "abs(new.total_cents) >= 200"}
    shop.publish(spec(trigger=trigger, if_="EXISTS (SELECT FROM shop.staff)", while_="live.customer_id < 0"))
    shop.write("UPDATE shop.orders SET status = 'cancelled' WHERE id = 1")
    shop.write("UPDATE shop.orders SET status = 'shipped' WHERE id = 1")
    answer = why(shop, row=("shop.orders", "1"))
    assert answer.runs == ()
    counted = (
        "shipped, version 1: since 2026-06-01 2 change(s) came to be judged, 0 matched. Of the others 1 were not in "
        "the state that `becomes` asks for, 1 failed on `when`. What the hook could rule out at once is not among them."
    )
    assert answer.lines() == (
        counted,
        "The row shop.orders id = 1 as it is NOW, asked by shipped, version 1 (what it was before is unknown):",
        "`becomes: lower(status) = 'shipped'` holds now.",
        "`when: abs(new.total_cents) >= 200` does not hold now.",
        "`if: EXISTS (SELECT FROM shop.staff)` holds now.",
        "`while: live.customer_id < 0` does not hold now.",
    )
    [trial] = answer.trials
    assert [(clause.name, clause.holds) for clause in trial.clauses] == [
        *(("becomes", True), ("when", False), ("if", True), ("while", False))
    ]


def test_what_depends_on_the_change_can_not_be_told_from_the_row(shop: Shop) -> None:
    trigger = {"change": "shop.orders", "columns": ["status"], "when": "new.status <> old.status"}
    shop.publish(spec(trigger=trigger))
    [trial] = why(shop, row=("shop.orders", "1")).trials
    assert [(clause.name, clause.holds) for clause in trial.clauses] == [("columns", None), ("when", None)]
    lines = tuple(trial.lines())
    assert "`columns: status` can't be told now: it depends on what a change changes." in lines
    assert "`when: new.status <> old.status` can't be told now: it asks for `old`, which is not known." in lines


def test_a_trigger_that_fails_on_the_row_says_so_and_a_delete_is_asked_of_the_old_row(shop: Shop) -> None:
    shop.publish(spec("cast", trigger={"change": "shop.orders", "ops": ["insert"], "when": "new.status::int > 1"}))
    to = "SELECT c.email FROM shop.customers c WHERE c.id = old.customer_id"
    texts = [{"subject": "x", "body": "x"}]
    deleted = {"change": "shop.orders", "ops": ["delete"], "when": "old.status = 'paid'"}
    shop.publish(spec("deleted", trigger=deleted, steps=[{**SEND, "to": to, "texts": texts}]))
    casts, deletes = why(shop, row=("shop.orders", "1")).trials
    assert casts.clauses[0].note == 'Postgres says: invalid input syntax for type integer: "paid"'
    assert (casts.clauses[0].holds, deletes.clauses[0].holds) == (None, True)


def test_a_change_that_could_not_be_matched_is_told_with_its_error(shop: Shop) -> None:
    shop.publish(spec("cast", trigger={"change": "shop.orders", "ops": ["update"], "when": "new.status::int > 1"}))
    shop.write(SHIP.format(3))
    said = told(shop, row=("shop.orders", "3"))
    assert (
        'A change of shop.orders id = 3 failed for cast, version 1: invalid input syntax for type integer: "shipped". '
        "It is kept: dead letter 1." in said
    )
    assert "1 could not be asked" in said
    assert "failed for cast" not in told(shop, row=("shop.orders", "2"))


def test_a_row_that_is_not_there_or_that_nobody_watches(shop: Shop) -> None:
    shop.publish(spec())
    assert "shop.orders has no row id = 77." in told(shop, row=("shop.orders", "77"))
    assert "No live workflow watches shop.staff." in told(shop, row=("shop.staff", "1"))


@pytest.mark.parametrize(
    ("question", "error"),
    [
        ({"row": ("shop.nosuch", "1")}, "There is no table 'shop.nosuch'"),
        ({"row": ("shop.orders", "abc")}, "can't be a key of shop.orders"),
        ({"row": ("shop.order_items", "1")}, "The key of shop.order_items is order_id, product_id"),
        ({"message_id": 9}, "There is no message 9."),
        ({"run_id": 9}, "There is no run 9."),
        ({"workflow": "shiped"}, "No workflow is called 'shiped'. Did you mean 'shipped'"),
    ],
)
def test_what_does_not_exist_is_said(shop: Shop, question: dict[str, Any], error: str) -> None:
    shop.publish(spec())
    with pytest.raises(NotFound) as raised:
        why(shop, **question)
    assert error in str(raised.value)


def test_a_schedule_tells_its_slot_its_item_and_what_passed_by(shop: Shop) -> None:
    each = "SELECT c.id, c.email FROM shop.customers c WHERE c.id = 1"
    steps = [{**SEND, "to": "SELECT item.id AS key, item.email", "texts": [{"subject": "x", "body": "x"}]}]
    shop.publish(spec("daily", trigger={"schedule": "0 9 * * *", "each": each, "key": ["id"]}, steps=steps))
    shop.pass_time(days=1)
    slot = "2026-06-02 09:00:00 UTC"
    started = f"It was time: the slot of {slot} started run 1 of daily, version 1, for the item id = 1."
    assert told(shop, message_id=1).startswith(started)
    shop.app.execute("UPDATE tidings.workflow SET paused_at = now()")
    shop.clock.advance_to(datetime(2026, 6, 3, 10, tzinfo=UTC))
    drain(shop.engine)
    passed = "The slot of 2026-06-03 09:00:00 UTC of daily passed while the workflow was paused."
    assert passed in told(shop, workflow="daily")


def test_nothing_at_all_has_an_answer_too(shop: Shop) -> None:
    assert told(shop, address="who@x.test") == (
        "Nothing is known of who@x.test: no change or slot has started a run for it."
    )
    shop.publish(spec())
    shop.app.execute(SHIP.format(1))
    claim(shop.engine)
    assert "Run 1 is under way in step tell." in told(shop)
