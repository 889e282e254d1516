"""The console's page on which a person pauses, sees what waits, and lets it go on or discards it."""

from typing import Any

import pytest
from psycopg import Connection
from starlette.testclient import TestClient

from runtime.clock import VirtualClock
from runtime.engine.drain import drain
from runtime.ledger.database import Ledger
from runtime.publishing.pausing import set_brake
from runtime.source.reader import Source
from tests.consoles import PERSON, desk_for, read, stranger, visitor, words
from tests.engine_runs import Shop
from tests.publishing import spec

pytestmark = pytest.mark.usefixtures("approved")
SHIP = "UPDATE shop.orders SET status = 'shipped' WHERE id = {}"


@pytest.fixture
def shop(app: Connection[Any], ledger: Ledger, source: Source, database: str, clock: VirtualClock) -> Shop:
    shop = Shop.furnished(app, ledger, source, database, clock)
    shop.publish(spec())
    return shop


@pytest.fixture
def console(shop: Shop) -> TestClient:
    return visitor(desk_for(shop))


def decide(console: TestClient, answer: str, workflow: str = "", why: str = "") -> str:
    """Send the page's form, and return what the next page says."""
    sent = console.post("/pause", data={"answer": answer, "workflow": workflow, "why": why})
    assert sent.status_code == 303, sent.text
    return words(console.get(sent.headers["location"]).text)


@pytest.mark.parametrize("workflow", ["", "shipped"])
def test_a_person_pauses_sees_what_waits_and_lets_it_go_on(shop: Shop, console: TestClient, workflow: str) -> None:
    path = f"/pause?workflow={workflow}"
    assert f"Pause {workflow or 'everything'}" in read(console, path)
    assert "It is paused: nothing leaves from now on." in decide(console, "pause", workflow, "a <wrong> text")
    shop.write(SHIP.format(1))
    said = read(console, path)
    assert f"by {PERSON}: a <wrong> text" in said
    assert "Runs 1. They ask afresh whom they tell" in said
    assert "a <wrong> text" in read(console, "/workflows")
    assert "a <wrong> text" in read(console, "/runs/1")
    assert ("Pause it" in read(console, "/workflows/shipped")) == (not workflow)
    assert ("Look at what waits" in read(console, "/inbox")) == (not workflow)
    assert "Nothing was changed: it was so already." in decide(console, "pause", workflow)
    assert "It goes on" in decide(console, "resume", workflow)
    drain(shop.engine)
    assert shop.inbox() == [("1@x.test", "Order 1")]
    assert "Nothing was changed" in decide(console, "resume", workflow)


def test_a_flood_stands_on_every_page_until_a_person_discards_it(shop: Shop, console: TestClient) -> None:
    set_brake(shop.engine.ledger, None, 2, by="ana")
    shop.write("UPDATE shop.orders SET status = 'shipped'")
    said = read(console, "/inbox")
    assert "The brake stopped shipped at" in said
    assert "3 people within an hour would have been told; its brake is 2 an hour." in said
    assert "stopped by its brake" in read(console, "/pause?workflow=shipped")
    assert console.get("/healthz").json()["reasons"].count("the burst brake stopped a workflow") == 1
    assert "What waited was discarded" in decide(console, "discard", "shipped", "a mistake")
    drain(shop.engine)
    assert shop.inbox() == []
    assert f"because it was discarded by {PERSON} (a mistake)" in read(console, "/runs/1")
    assert "The brake stopped" not in read(console, "/inbox")


def test_only_who_came_with_the_token_decides_and_only_with_the_form(shop: Shop, console: TestClient) -> None:
    assert stranger(desk_for(shop)).post("/pause", data={"answer": "pause"}).status_code == 401
    assert console.post("/pause", data={"answer": "stop"}).status_code == 400
    assert console.get("/pause?workflow=shiped").status_code == 404
    elsewhere = {"origin": "https://elsewhere.test"}
    assert console.post("/pause", data={"answer": "pause"}, headers=elsewhere).status_code == 403
    assert "Not everything is paused." in read(console, "/pause")
