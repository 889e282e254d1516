"""Runs and why-answers in the console, what it says when something is wrong, and its health."""

from collections.abc import Iterator
from typing import Any

import pytest
from psycopg import Connection
from starlette.testclient import TestClient

from runtime.clock import VirtualClock
from runtime.console.desk import Desk
from runtime.console.runs import SHOWN
from runtime.ledger.database import Ledger
from runtime.ledger.project import hold
from runtime.source.reader import Source
from tests.consoles import desk_for, read, stranger, visitor, words
from tests.engine_runs import Shop
from tests.publishing import SEND, spec

pytestmark = pytest.mark.usefixtures("approved")
WAITING = spec("later", while_="live.status = 'shipped'", steps=[{"wait": "settle", "for": "1 day"}, SEND])


@pytest.fixture
def shop(app: Connection[Any], ledger: Ledger, source: Source, database: str, clock: VirtualClock) -> Shop:
    return Shop.furnished(app, ledger, source, database, clock)


@pytest.fixture
def console(shop: Shop) -> Iterator[TestClient]:
    with visitor(desk_for(shop)) as client:
        yield client


@pytest.fixture
def busy(shop: Shop, approved: None) -> None:  # noqa: ARG001  # what the person approved comes first
    """One order shipped, with a workflow that told at once and one that waits; another refunded meanwhile."""
    shop.publish(spec())
    shop.publish(WAITING)
    shop.write("UPDATE shop.orders SET status = 'shipped' WHERE id = 1")
    shop.pass_time(hours=12)
    shop.write("UPDATE shop.orders SET status = 'shipped' WHERE id = 2")
    shop.write("UPDATE shop.orders SET status = 'refunded' WHERE id = 1")
    shop.pass_time(hours=12)


def test_no_run_yet_says_when_one_begins(console: TestClient) -> None:
    assert "No run yet. One begins when a change matches a live workflow" in read(console, "/runs")
    assert "Nothing is known of nobody@x.test" in read(console, "/why?address=nobody@x.test")


@pytest.mark.usefixtures("busy")
def test_runs_tell_what_started_them_and_where_they_stand(console: TestClient) -> None:
    said = read(console, "/runs")
    assert "later v1 update shop.orders id = 2 2 Jun, 00:00:00 waiting until 2026-06-03 00:00:00 UTC none" in said
    assert "later v1 update shop.orders id = 1 1 Jun, 12:00:00 ended while no longer held none" in said
    assert "shipped v1 update shop.orders id = 1 1 Jun, 12:00:00 completed 1 sent" in said


@pytest.mark.usefixtures("busy")
def test_runs_are_found_by_workflow_and_by_state(console: TestClient) -> None:
    assert console.get("/runs").text.count('href="/runs/') == 4
    assert console.get("/runs?workflow=later").text.count('href="/runs/') == 2
    assert console.get("/runs?workflow=later&state=ended").text.count('href="/runs/') == 1
    assert "No run fits" in read(console, "/runs?state=failed")
    assert "No run is ever 'done'" in read(console, "/runs?state=done", status=400)
    assert "No workflow is called 'latter'. Did you mean 'later'?" in read(console, "/runs?workflow=latter", status=404)


def test_older_runs_are_on_further_pages(shop: Shop, console: TestClient) -> None:
    shop.publish(spec())
    shop.app.execute(
        "INSERT INTO shop.orders (id, customer_id, status, total_cents, placed_at)"
        " SELECT n, 1, 'paid', 1, '2026-05-01' FROM generate_series(100, 100 + %s) n",
        (SHOWN,),
    )
    shop.write("UPDATE shop.orders SET status = 'shipped' WHERE id >= 100")
    first = console.get("/runs?workflow=shipped").text
    assert first.count('href="/runs/') == SHOWN
    assert 'href="/runs?workflow=shipped&state=&before=2"' in first
    assert console.get("/runs?workflow=shipped&state=&before=2").text.count('href="/runs/') == 1


@pytest.mark.usefixtures("busy")
def test_a_run_is_told_from_its_change_to_its_message(shop: Shop, console: TestClient) -> None:
    (run,) = shop.rows("SELECT id FROM tidings.run WHERE state = 'completed' AND at = '2026-06-01 12:00Z'")
    page = console.get(f"/runs/{run['id']}").text
    said = words(page)
    assert "shop.orders id = 1 was updated at 2026-06-01 12:00:00 UTC" in said
    assert "1@x.test by email: sent through inbox" in said
    assert 'href="/inbox/1"' in page
    for number in (99, 10**30):
        assert "There is no" in read(console, f"/runs/{number}", status=404)


@pytest.mark.usefixtures("busy")
def test_it_is_said_why_somebody_got_a_message_and_why_not(shop: Shop, console: TestClient) -> None:
    assert "Ask about an address" in read(console, "/why")
    shop.app.execute(
        "INSERT INTO tidings.suppression (project_id, address, reason, at) VALUES (1, '1@x.test', 'manual', now())"
    )
    said = read(console, "/why?address=1%40x.test")
    assert "1@x.test is on the suppression list: manual." in said
    assert "Run 1 of shipped completed" in said
    assert "Message 1 of step tell to 1@x.test by email: sent" in said
    row = read(console, "/why?table=shop.orders&key=3")
    assert "Asked now, of shipped" in row
    assert "does not hold now" in row
    assert "came to be judged" in read(console, "/why?workflow=shipped")


@pytest.mark.usefixtures("busy")
def test_a_question_that_can_not_be_answered_is_told_beside_the_form(console: TestClient) -> None:
    questions = {
        "workflow=shiped": "Did you mean 'shipped'?",
        "table=shop.orders": "A row has a table and a key: say both",
        "table=shop.order&key=1": "no table 'shop.order'",
        "table=shop.orders&key=x": "can't be a key of shop.orders",
    }
    for question, told in questions.items():
        said = read(console, f"/why?{question}", status=404)
        assert told in said
        assert "Address Table Key Workflow Ask" in said


def test_a_database_that_does_not_answer_has_a_page_with_the_next_step(shop: Shop, source: Source) -> None:
    with Ledger("postgresql://nobody:secret@127.0.0.1:1/none", max_size=1) as ledger:
        ledger.pool.timeout = 0.2
        desk = Desk(ledger, source, shop.url, "x" * 20, "bea")
        with visitor(desk) as console:
            for path in ("/inbox", "/workflows", "/runs", "/why?address=a", "/unsubscribe/x"):
                said = read(console, path, status=503)
                assert "The database does not answer. tidings doctor says why" in said
                assert "secret" not in said
            health = console.get("/healthz")
    assert (health.status_code, health.json()["status"]) == (503, "red")


def test_what_the_database_refuses_is_said_without_a_stack_trace(shop: Shop, console: TestClient) -> None:
    shop.app.execute("ALTER TABLE tidings.inbox RENAME TO post")
    said = read(console, "/inbox", status=500)
    assert 'The database says: relation "tidings.inbox" does not exist' in said
    assert "Traceback" not in said


def test_health_is_one_word_with_reasons(shop: Shop) -> None:
    with stranger(desk_for(shop)) as client:
        assert client.get("/healthz").json() == {"status": "green", "reasons": []}
        hold(shop.app, 1, "It is a copy of shop.orders.")
        red = client.get("/healthz")
        assert red.status_code == 503
        assert red.json() == {"status": "red", "reasons": ["everything is held until a person decides"]}


def test_every_page_says_how_the_project_stands(shop: Shop, console: TestClient) -> None:
    assert "inbox mode test" in read(console, "/runs")
    shop.app.execute("UPDATE tidings.project SET clock_shift = '36 hours'")
    assert "1.5 days ahead" in read(console, "/runs")
    shop.app.execute("UPDATE tidings.project SET clock_shift = '0', mode = 'production'")
    assert "production test" in read(console, "/runs")
    shop.publish(spec("watched"))
    shop.app.execute("ALTER TABLE shop.orders DISABLE TRIGGER ALL")
    said = read(console, "/inbox")
    assert "Capture is red." in said
    assert "tidings doctor says what to do" in said
