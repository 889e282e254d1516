"""The console in a real browser: what arrives by itself, what a mail can't do, and a yes that publishes."""

from collections.abc import Iterator
from typing import Any

import pytest
from psycopg import Connection

from runtime.clock import VirtualClock
from runtime.ledger.database import Ledger
from runtime.source.reader import Source
from tests.browser import Page, browser
from tests.consoles import TOKEN, desk_for, served
from tests.engine_runs import Shop
from tests.publishing import SEND, save_and_test, spec

pytestmark = [pytest.mark.services, pytest.mark.usefixtures("approved")]
HOSTILE = """<html><head><base href="http://127.0.0.1:9/">
<meta http-equiv="refresh" content="0;url=/inbox?refresh"><link rel="stylesheet" href="/static/console.css?link"></head>
<body><p id="text">A mail that wants more.</p>
<script>document.getElementById("text").textContent = "RAN"; fetch("/inbox/state?script")</script>
<script src="/static/console.js?src"></script><style>@import "/static/console.css?import"</style>
<img src="data:text/plain,x" onerror="fetch('/inbox/state?handler')"><img src="/inbox/state?picture">
<iframe src="/inbox?inner"></iframe><object data="/inbox?object"></object><embed src="/inbox?embed">
<svg onload="fetch('/inbox/state?svg')"></svg><video src="/inbox?video" autoplay></video>
<form id="form" method="post" action="/workflows/shipped/decision?form"><button autofocus>Win</button></form>
</body></html>"""
"""A mail that tries what a mail can try."""


@pytest.fixture(scope="module")
def tab() -> Iterator[Page]:
    with browser() as page:
        yield page


@pytest.fixture
def shop(app: Connection[Any], ledger: Ledger, source: Source, database: str, clock: VirtualClock) -> Shop:
    return Shop.furnished(app, ledger, source, database, clock)


@pytest.fixture
def heard() -> list[str]:
    """The paths that the browser asked the console for."""
    return []


@pytest.fixture
def console(shop: Shop, heard: list[str]) -> Iterator[str]:
    with served(desk_for(shop), heard) as address:
        yield address


@pytest.fixture
def page(tab: Page, console: str) -> Page:
    """A browser that came with the token."""
    tab.look()
    tab.open(f"{console}/?token={TOKEN}")
    tab.said.clear()
    return tab


def _ship(shop: Shop, order: int = 1) -> None:
    shop.write(f"UPDATE shop.orders SET status = 'shipped' WHERE id = {order}")


def test_a_message_appears_in_the_open_inbox_by_itself(shop: Shop, page: Page) -> None:
    shop.publish(spec())
    page.wait_for("document.getElementById('lamp').textContent === 'live'")
    page.evaluate("window.stays = true")
    for order in (1, 2):
        _ship(shop, order)
        page.wait_for(f"document.body.innerText.includes('Order {order}')")
    assert page.evaluate("window.stays"), "the page was not loaded anew"
    assert page.evaluate("document.querySelectorAll('li.new').length") == 1
    assert page.evaluate("document.querySelectorAll('li[data-id]').length") == 2
    assert page.said == []


def test_an_inbox_that_nobody_looks_at_asks_for_nothing(page: Page, heard: list[str]) -> None:
    page.wait_for("document.getElementById('lamp').textContent === 'live'")
    page.evaluate("Object.defineProperty(document, 'visibilityState', {value: 'hidden'})")
    page.listen(0.3)
    heard.clear()
    page.listen(1.5)
    assert heard == []


def test_the_cookie_is_no_business_of_scripts(page: Page) -> None:
    assert page.evaluate("document.cookie") == ""
    assert TOKEN not in page.evaluate("location.href")


def test_a_mail_is_shown_in_every_form(shop: Shop, page: Page, console: str, heard: list[str]) -> None:
    shop.publish(spec())
    _ship(shop)
    page.open(f"{console}/inbox/1")
    page.wait_for_frame("Hello, order 1 is shipped.")
    assert page.evaluate("getComputedStyle(document.querySelector('iframe.dark')).display") == "none"
    for form in ("dark", "phone", "text", "headers", "light"):
        page.click(f"label[for=mail-{form}]")
        page.wait_for(f"getComputedStyle(document.querySelector('.stage > .{form}')).display !== 'none'")
        assert page.evaluate("[...document.querySelectorAll('.stage > *')].filter(e => e.offsetParent).length") == 1
        if form == "dark":  # a lazy frame is fetched while it is looked at
            page.wait_until(lambda: "/inbox/1/html?scheme=dark" in heard, "the dark side")
    assert page.said == []


def test_a_mail_can_run_nothing_and_reach_nothing(shop: Shop, page: Page, console: str, heard: list[str]) -> None:
    shop.publish(spec())
    _ship(shop)
    shop.app.execute("UPDATE tidings.inbox SET html = %s", (HOSTILE,))
    heard.clear()
    page.open(f"{console}/inbox/1")
    page.wait_for_frame("A mail that wants more.")
    page.listen(0.5)
    assert not any("RAN" in frame for frame in page.frames())
    assert set(heard) == {"/inbox/1", "/inbox/1/html?scheme=light", "/static/console.css", "/static/mark.svg"}
    assert page.evaluate("location.pathname") == "/inbox/1"
    assert any("script" in said.lower() for said in page.said), "the browser says what it refused"


def test_a_yes_in_the_browser_publishes(shop: Shop, page: Page, console: str) -> None:
    save_and_test(shop.engine.ledger, shop.engine.source, spec())
    page.open(f"{console}/workflows")
    page.click(".cards a")
    page.wait_for("location.pathname === '/workflows/shipped' && document.readyState === 'complete'")
    page.wait_for_frame("Hello, order 3 is paid.")
    page.evaluate("document.getElementById('note').value = 'looks right'")
    page.click(".decision button.main")
    page.wait_for("document.body.innerText.includes('Approved and published.')")
    assert "Exactly this is live, as version 1." in page.text()
    (approval,) = shop.rows("SELECT status, decided_by, decided_via, note FROM tidings.approval")
    assert approval == {"status": "redeemed", "decided_by": "bea", "decided_via": "console", "note": "looks right"}
    _ship(shop)
    assert shop.inbox() == [("1@x.test", "Order 1")]
    assert page.said == []


def test_a_no_in_the_browser_sends_the_draft_back(shop: Shop, page: Page, console: str) -> None:
    save_and_test(shop.engine.ledger, shop.engine.source, spec())
    page.open(f"{console}/workflows/shipped")
    page.click(".decision button[value=reject]")
    page.wait_for("document.body.innerText.includes('Sent back.')")
    assert "bea sent exactly this back" in page.text()


def test_a_form_on_another_site_decides_nothing(shop: Shop, page: Page, console: str) -> None:
    save_and_test(shop.engine.ledger, shop.engine.source, spec())
    page.open(f"{console}/workflows/shipped")
    fields = page.evaluate("[...document.querySelectorAll('.decision input')].map(e => [e.name, e.value])")
    inputs = "".join(f'<input name="{name}" value="{value}">' for name, value in [*fields, ["answer", "approve"]])
    form = f'<form method="post" action="{console}/workflows/shipped/decision">{inputs}<button>Win</button></form>'
    page.open(f"data:text/html,{form.replace('#', '')}")
    page.click("button")
    page.wait_for(f"location.href.startsWith('{console}')")
    assert "Open it with its token once" in page.text()
    (approval,) = shop.rows("SELECT status FROM tidings.approval")
    assert approval["status"] == "asked"


def test_a_recipient_unsubscribes_with_the_button(shop: Shop, page: Page, console: str) -> None:
    shop.publish(spec(steps=[{**SEND, "category": "product", "topic": "orders"}]))
    _ship(shop)
    (row,) = shop.rows("SELECT headers->>'List-Unsubscribe' AS link FROM tidings.inbox")
    page.call("Network.clearBrowserCookies")
    page.open(console + row["link"].strip("<>").removeprefix("https://tidings.test"))
    page.click("button")
    page.wait_for("document.body.innerText.includes('You are unsubscribed')")
    assert len(shop.rows("SELECT * FROM tidings.suppression")) == 1
    assert page.said == []


@pytest.mark.parametrize("dark", [False, True])
def test_no_page_is_wider_than_a_phone(shop: Shop, page: Page, console: str, dark: bool) -> None:
    shop.publish(spec())
    _ship(shop)
    save_and_test(shop.engine.ledger, shop.engine.source, spec(about=f"Tells {'everybody' * 30}."))
    page.look(width=375, height=760, dark=dark)
    for path in (
        "/inbox",
        "/inbox/1",
        "/workflows",
        "/workflows/shipped",
        "/pause?workflow=shipped",
        "/runs",
        "/runs/1",
        "/why?workflow=shipped",
        "/health",
    ):
        page.open(f"{console}{path}")
        assert page.evaluate("document.documentElement.scrollWidth") <= 375, path
    assert page.said == []
