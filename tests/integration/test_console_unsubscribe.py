"""The page behind an unsubscribe link, as people, mail programs and mail scanners use it."""

from collections.abc import Iterator
from typing import Any

import pytest
from psycopg import Connection
from starlette.testclient import TestClient

from runtime.clock import VirtualClock
from runtime.ledger.database import Ledger
from runtime.source.reader import Source
from tests.consoles import desk_for, stranger, words
from tests.engine_runs import Shop
from tests.publishing import SEND, spec

pytestmark = pytest.mark.usefixtures("approved")


@pytest.fixture
def shop(app: Connection[Any], ledger: Ledger, source: Source, database: str, clock: VirtualClock) -> Shop:
    return Shop.furnished(app, ledger, source, database, clock)


@pytest.fixture
def reader(shop: Shop) -> Iterator[TestClient]:
    """A recipient's browser: it has no token."""
    with stranger(desk_for(shop, public_url="https://tidings.test"), base="https://tidings.test") as client:
        yield client


def _path(shop: Shop, **send: str) -> str:
    """Send the first customer something, and return the path of the link in it."""
    shop.publish(spec(steps=[{**SEND, "category": "product", **send}]))
    shop.write("UPDATE shop.orders SET status = 'shipped' WHERE id = 1")
    (row,) = shop.rows("SELECT headers->>'List-Unsubscribe' AS link FROM tidings.inbox")
    assert row["link"].startswith("<https://tidings.test/")
    return str(row["link"]).removeprefix("<https://tidings.test").removesuffix(">")


def _entries(shop: Shop) -> list[tuple[str, str, str]]:
    rows = shop.rows("SELECT address, topic, reason FROM tidings.suppression")
    return [(row["address"], row["topic"], row["reason"]) for row in rows]


def test_looking_at_the_link_changes_nothing(shop: Shop, reader: TestClient) -> None:
    path = _path(shop, topic="orders")
    for method in ("GET", "HEAD", "GET"):
        assert reader.request(method, path).status_code == 200
    said = words(reader.get(path).text)
    assert "Unsubscribe? 1@x.test will get no more messages about orders." in said
    assert _entries(shop) == []


def test_the_button_unsubscribes_and_the_next_message_is_suppressed(shop: Shop, reader: TestClient) -> None:
    path = _path(shop, topic="orders")
    assert '<form method="post">' in reader.get(path).text
    done = reader.post(path, headers={"origin": "https://tidings.test"})
    assert done.status_code == 200
    assert "You are unsubscribed 1@x.test gets no more messages about orders." in words(done.text)
    assert "You are unsubscribed" in reader.get(path).text
    assert _entries(shop) == [("1@x.test", "orders", "unsubscribed")]
    shop.write("UPDATE shop.orders SET status = 'paid' WHERE id = 1")
    shop.write("UPDATE shop.orders SET status = 'shipped' WHERE id = 1")
    (newest,) = shop.rows("SELECT status, reason FROM tidings.message_status ORDER BY id DESC LIMIT 1")
    assert (newest["status"], newest["reason"]) == ("suppressed", "unsubscribed")


@pytest.mark.parametrize(
    "form", [{"data": {"List-Unsubscribe": "One-Click"}}, {"files": {"List-Unsubscribe": (None, "One-Click")}}]
)
def test_a_mail_program_unsubscribes_with_one_click(shop: Shop, reader: TestClient, form: dict[str, Any]) -> None:
    path = _path(shop, topic="orders")
    assert reader.post(path, **form).status_code == 200
    assert reader.post(path, **form).status_code == 200
    assert _entries(shop) == [("1@x.test", "orders", "unsubscribed")]
    assert "set-cookie" not in reader.get(path).headers


@pytest.mark.parametrize("token", ["x", "A" * 80, "é"])
def test_a_link_that_is_not_from_here_does_nothing(shop: Shop, reader: TestClient, token: str) -> None:
    for method in ("GET", "POST"):
        answer = reader.request(method, f"/unsubscribe/{token}")
        assert answer.status_code == 404
        assert "This link does not work" in answer.text
    assert _entries(shop) == []


def test_the_page_shows_nothing_of_the_console(shop: Shop, reader: TestClient) -> None:
    page = reader.get(_path(shop, topic="orders")).text
    assert "/workflows" not in page
    assert "Inbox" not in page
