"""Who may see the console: the token once, a cookie from then on, and nobody by way of another site."""

from collections.abc import Iterator
from typing import Any

import pytest
from psycopg import Connection
from starlette.testclient import TestClient

from runtime.clock import VirtualClock
from runtime.console.access import local_path
from runtime.console.desk import Desk
from runtime.ledger.database import Ledger
from runtime.source.reader import Source
from tests.consoles import BASE, TOKEN, desk_for, read, stranger, visitor, words
from tests.engine_runs import Shop
from tools.http import client_token, resource_url

pytestmark = pytest.mark.usefixtures("approved")
PAGES = (
    *("/", "/inbox", "/inbox/state", "/inbox/1", "/inbox/1/html", "/workflows", "/workflows/x", "/runs", "/why"),
    *("/health", "/metrics"),
)


@pytest.fixture
def desk(app: Connection[Any], ledger: Ledger, source: Source, database: str, clock: VirtualClock) -> Desk:
    return desk_for(Shop.furnished(app, ledger, source, database, clock))


@pytest.fixture
def console(desk: Desk) -> Iterator[TestClient]:
    with visitor(desk) as client:
        yield client


@pytest.mark.parametrize("path", [*PAGES, "//inbox", "/static/../inbox", "/unsubscribe/../inbox", "/nothing"])
def test_no_page_is_shown_without_the_token(desk: Desk, path: str) -> None:
    with stranger(desk) as client:
        answer = client.get(f"{BASE}{path}")
    assert answer.status_code in {401, 404}
    if answer.status_code == 401:
        assert "Open the address that tidings up printed" in words(answer.text)
    assert "Inbox" not in answer.text


def test_the_token_becomes_a_cookie_that_scripts_and_other_sites_do_not_get(desk: Desk) -> None:
    with stranger(desk) as client:
        answer = client.get(f"/why?address=a%40x.test&token={TOKEN}")
        assert answer.status_code == 303
        assert answer.headers["location"] == "/why?address=a%40x.test"
        cookie = answer.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert TOKEN not in cookie
        assert client.get("/why").status_code == 200


def test_consoles_on_two_ports_do_not_take_each_others_cookie(desk: Desk) -> None:
    with stranger(desk) as one, stranger(desk, base="http://127.0.0.1:9999") as other:
        names = {client.get(f"/?token={TOKEN}").headers["set-cookie"].partition("=")[0] for client in (one, other)}
    assert len(names) == 2


@pytest.mark.parametrize("token", ["", "x", TOKEN[:-1], f"{TOKEN}x", "é", f" {TOKEN}"])
def test_another_token_opens_nothing(desk: Desk, token: str) -> None:
    with stranger(desk) as client:
        answer = client.get("/inbox", params={"token": token})
        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers
        assert client.get("/inbox").status_code == 401


def test_what_a_chat_client_holds_opens_nothing(desk: Desk) -> None:
    token = client_token(TOKEN, resource_url("127.0.0.1", 8710))
    with stranger(desk) as client:
        assert client.get("/inbox", params={"token": token}).status_code == 403
        assert client.get("/inbox", headers={"authorization": f"Bearer {token}"}).status_code == 401
        for value in (token, TOKEN):
            assert client.get("/inbox", headers={"cookie": f"tidings-8710={value}"}).status_code == 401


@pytest.mark.parametrize("path", ["//evil.example/inbox", "///evil.example", "/\\evil.example"])
def test_the_way_in_leads_to_no_other_site(desk: Desk, path: str) -> None:
    with stranger(desk) as client:
        location = client.get(f"{BASE}{path}?token={TOKEN}").headers["location"]
    assert location[0] == "/"
    assert location[1] not in "/\\"
    assert local_path(path, "a=b").endswith("?a=b")


@pytest.mark.parametrize(
    "origin", [None, "null", "http://evil.example", "http://127.0.0.1:3000", BASE[7:], f"{BASE}.x"]
)
def test_a_form_of_another_site_does_nothing(console: TestClient, origin: str | None) -> None:
    console.headers.pop("origin")
    given = {} if origin is None else {"origin": origin}
    answer = console.post("/workflows/x/decision", data={"answer": "approve"}, headers=given)
    assert answer.status_code == 403
    assert "Nothing was done" in words(answer.text)


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8710", "127.0.0.1.evil.example", "[::1", "", "hooks.test"]
)
def test_another_name_for_this_machine_gets_nothing(console: TestClient, host: str) -> None:
    for path in ("/inbox", f"/?token={TOKEN}", "/unsubscribe/x", "/healthz"):
        assert console.get(path, headers={"host": host}).status_code == 421


@pytest.mark.parametrize("host", ["localhost:8710", "[::1]:8710", "127.0.0.1"])
def test_every_local_name_of_this_machine_is_answered(desk: Desk, host: str) -> None:
    with stranger(desk, base=f"http://{host}") as client:
        assert client.get(f"/inbox?token={TOKEN}").status_code == 303


def test_under_its_public_name_it_serves_only_what_recipients_and_providers_need(desk: Desk) -> None:
    public = desk_for_public(desk)
    with stranger(public, base="https://hooks.test") as client:
        statuses = {path: client.get(path).status_code for path in ("/inbox", "/unsubscribe/x", "/healthz", "/why")}
        assert statuses == {"/inbox": 421, "/unsubscribe/x": 404, "/healthz": 200, "/why": 421}
        assert client.get(f"/?token={TOKEN}").status_code == 421


def desk_for_public(desk: Desk) -> Desk:
    return Desk(desk.ledger, desk.source, desk.installer_url, TOKEN, desk.person, public_url="https://hooks.test/t")


def test_a_link_from_another_site_leads_in_with_one_click_more(desk: Desk) -> None:
    with stranger(desk) as client:
        followed = {"sec-fetch-site": "cross-site"}
        answer = client.get("/why?address=a", headers=followed)
        assert answer.status_code == 401
        assert 'href="/why?address=a"' in answer.text
        outward = client.get(f"{BASE}//evil.example/", headers=followed)
        assert 'href="/evil.example/"' in outward.text


def test_every_answer_says_what_its_page_may_do(console: TestClient, desk: Desk) -> None:
    answers = [console.get(path) for path in ("/inbox", "/nothing", "/workflows/x", "/static/console.css", "/healthz")]
    with stranger(desk) as client:
        answers += [client.get("/inbox"), client.get("/unsubscribe/x"), client.get(f"/?token={TOKEN}")]
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert answer.headers["cache-control"] == "no-store"


def test_a_fault_of_ours_has_a_page_without_its_details(desk: Desk) -> None:
    broken = Desk(None, desk.source, desk.installer_url, TOKEN, "bea")  # type: ignore[arg-type]  # that is the fault
    with visitor(broken, raise_server_exceptions=False) as client:
        answer = client.get("/inbox")
    assert answer.status_code == 500
    assert "The console has a fault" in words(answer.text)
    assert "NoneType" not in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_a_page_that_is_not_there_says_so(console: TestClient) -> None:
    assert "There is no such page" in read(console, "/nothing", status=404)
    answer = console.get("/workflows/x/decision")
    assert answer.status_code == 405
    assert "Go back and use its buttons" in words(answer.text)
