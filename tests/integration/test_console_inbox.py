"""The local inbox: what arrived, as its reader would see it, and what led to it."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from psycopg import Connection
from starlette.testclient import TestClient

from runtime.clock import VirtualClock
from runtime.console.inbox import SHOWN
from runtime.ledger.database import Ledger
from runtime.source.reader import Source
from tests.consoles import desk_for, read, visitor, words
from tests.engine_runs import Shop
from tests.publishing import SEND, spec

pytestmark = pytest.mark.usefixtures("approved")
SCRIPT = "<script>alert(1)</script>"


@pytest.fixture
def shop(app: Connection[Any], ledger: Ledger, source: Source, database: str, clock: VirtualClock) -> Shop:
    return Shop.furnished(app, ledger, source, database, clock)


@pytest.fixture
def console(shop: Shop) -> Iterator[TestClient]:
    with visitor(desk_for(shop)) as client:
        yield client


def _ship(shop: Shop, order: int = 1) -> None:
    shop.write(f"UPDATE shop.orders SET status = 'shipped' WHERE id = {order}")


def test_an_empty_inbox_says_how_it_fills(console: TestClient) -> None:
    assert "Nothing has arrived yet" in read(console, "/inbox")
    assert console.get("/inbox/state").json() == {"newest": 0}


def test_messages_stand_there_by_day_the_newest_first(shop: Shop, console: TestClient) -> None:
    shop.publish(spec())
    _ship(shop)
    shop.pass_time(days=1)
    _ship(shop, 2)
    said = read(console, "/inbox")
    places = [
        said.index(part)
        for part in ("Tuesday, 2 June 2026", "2@x.test", "Monday, 1 June 2026", "1@x.test", "order 1 is shipped")
    ]
    assert places == sorted(places)
    assert "Order 1 Hello, order 1 is shipped." in said
    assert console.get("/inbox/state").json() == {"newest": 2}


def test_older_messages_are_on_further_pages(shop: Shop, console: TestClient) -> None:
    shop.publish(spec())
    shop.app.execute(
        "INSERT INTO shop.orders (id, customer_id, status, total_cents, placed_at)"
        " SELECT n, 1, 'paid', 1, '2026-05-01' FROM generate_series(100, 100 + %s) n",
        (SHOWN,),
    )
    shop.write("UPDATE shop.orders SET status = 'shipped' WHERE id >= 100")
    first = console.get("/inbox").text
    assert first.count("<li data-id=") == SHOWN
    assert '<a href="/inbox?before=2">Older' in first
    second = console.get("/inbox?before=2").text
    assert second.count("<li data-id=") == 1
    assert "console.js" not in second
    assert "There is nothing older" in read(console, "/inbox?before=1")
    assert "before needs a number, not 'x'" in read(console, "/inbox?before=x", status=400)
    read(console, f"/inbox?before={'9' * 400}", status=400)


def test_a_message_is_shown_with_all_that_led_to_it(shop: Shop, console: TestClient) -> None:
    shop.publish(spec())
    _ship(shop)
    page = console.get("/inbox/1")
    said = words(page.text)
    assert "From Tidings <tidings@shop.test> To 1@x.test 1 Jun 2026, 12:00:00" in said
    assert "Hello, order 1 is shipped." in said
    assert "Auto-Submitted auto-generated" in said
    assert "shop.orders id = 1 was updated at 2026-06-01 12:00:00 UTC (event 1): it started run 1 of shipped" in said
    assert "Run 1 is complete" in said
    assert '<a href="/why?address=1%40x.test">' in page.text
    assert "No message" not in said


def test_the_mail_itself_may_run_nothing_and_reach_nothing(shop: Shop, console: TestClient) -> None:
    shop.publish(spec())
    _ship(shop)
    page = console.get("/inbox/1").text
    assert page.count("<iframe") == 3
    assert page.count(" sandbox title=") == 3
    mail = console.get("/inbox/1/html")
    assert "Hello, order 1 is shipped." in mail.text
    policy = [part.strip() for part in mail.headers["content-security-policy"].split(";")]
    assert policy[:2] == ["sandbox", "default-src 'none'"]
    assert {"form-action 'none'", "frame-ancestors 'self'", "base-uri 'none'"} < set(policy)
    assert not [part for part in policy if part.startswith(("script-src", "connect-src"))]


def test_the_dark_side_of_a_mail_is_what_dark_readers_show(shop: Shop, console: TestClient) -> None:
    shop.publish(spec())
    _ship(shop)
    light, dark = (console.get(f"/inbox/1/html?scheme={scheme}").text for scheme in ("light", "dark"))
    assert "@media all" in dark
    assert "@media all" not in light
    assert "prefers-color-scheme: dark)" not in light + dark


def test_a_slack_message_is_shown_as_its_text(shop: Shop, console: TestClient) -> None:
    texts = [{"body": "Order {{ new.id }} *left*"}]
    send = {
        "send": "tell",
        "to": "SELECT 'alerts' AS key, contact('alerts') AS slack",
        "channels": ["slack"],
        "texts": texts,
    }
    shop.publish(spec(steps=[send]))
    _ship(shop)
    assert "#alerts Order 1 _left_ slack shipped" in read(console, "/inbox")
    page = console.get("/inbox/1").text
    assert "Message to #alerts" in page
    assert "<iframe" not in page


def test_a_message_that_is_not_there_says_so(console: TestClient) -> None:
    for number in (7, 10**25):
        assert "The inbox has no message of this number" in read(console, f"/inbox/{number}", status=404)
        assert console.get(f"/inbox/{number}/html").status_code == 404


def test_what_stands_in_rows_never_becomes_part_of_a_page(shop: Shop, console: TestClient) -> None:
    shop.app.execute("UPDATE shop.customers SET full_name = %s", (SCRIPT,))
    to = "SELECT c.id AS key, c.email, c.full_name FROM shop.customers c WHERE c.id = new.customer_id"
    name = "{{ recipient.full_name | default('') }}"
    texts = [{"subject": f"{name} \" onload=x '", "body": name}]
    shop.publish(spec(steps=[{**SEND, "to": to, "texts": texts}]))
    _ship(shop)
    shop.app.execute(
        "UPDATE tidings.inbox SET recipient = %s, sender = %s, headers = %s",
        (f'"{SCRIPT}"@x.test', SCRIPT, '{"X-<b>": "javascript:alert(1) <script>alert(1)</script>"}'),
    )
    for path in ("/inbox", "/inbox/1", "/runs", "/runs/1", f"/why?address={SCRIPT}", "/why?table=<i>x&key=<i>x"):
        page = console.get(path).text
        assert "<script>alert" not in page
        assert "<i>x" not in page
        assert 'href="javascript:' not in page
    assert f"{SCRIPT} \" onload=x '" in read(console, "/inbox")


def test_an_address_in_a_text_becomes_a_link_that_tells_nothing(shop: Shop, console: TestClient) -> None:
    shop.publish(spec(steps=[{**SEND, "category": "product", "topic": "orders"}]))
    _ship(shop)
    page = console.get("/inbox/1").text
    links = re.findall(r'<a href="https://tidings\.test/unsubscribe/[\w-]+" rel="([\w ]+)" target="_blank">', page)
    assert [set(link.split()) for link in links] == [{"noopener", "nofollow", "noreferrer"}] * 2
