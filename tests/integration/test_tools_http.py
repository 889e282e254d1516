"""Who gets in over HTTP: holders of a token of ours for this address, from this machine, and only to their tools."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CallToolResult

from runtime.errors import NotAllowed
from tools.http import client_token, http_app, resource_url
from tools.scopes import NEEDS, SCOPES
from tools.strict import ScopedServer

SECRET = "the-console-token-of-a-test"
URL = resource_url("127.0.0.1", 8710)
PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}


def _server() -> ScopedServer:
    server = ScopedServer(
        "http", version="1", needs={"look": "workflows:read", "go": "workflows:publish"}, log_level="ERROR"
    )

    @server.tool()
    def look() -> str:
        """Look."""
        return "seen"

    @server.tool()
    def go() -> str:
        """Go."""
        return "gone"

    return server


@asynccontextmanager
async def _http(base: str = "http://127.0.0.1:8710", **headers: str) -> AsyncIterator[httpx2.AsyncClient]:
    server = _server()
    app = http_app(server, token=SECRET, host="127.0.0.1", port=8710)
    transport = httpx2.ASGITransport(app=app)
    sent = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    async with (
        server.session_manager.run(),
        httpx2.AsyncClient(transport=transport, base_url=base, headers=sent) as http,
    ):
        yield http


def _status(base: str = "http://127.0.0.1:8710", **headers: str) -> int:
    async def ask() -> int:
        async with _http(base, **headers) as http:
            accepted = {"accept": "application/json, text/event-stream"}
            return (await http.post("/mcp", json=PING, headers=accepted)).status_code

    return anyio.run(ask)


def _bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def test_a_token_of_ours_lets_in() -> None:
    assert _status(**_bearer(client_token(SECRET, URL))) not in {401, 403, 421}


@pytest.mark.parametrize(
    "token",
    [
        SECRET,
        "",
        "x",
        ".",
        "é.é",
        client_token("another-secret", URL),
        client_token(SECRET, resource_url("127.0.0.1", 8711)),
        client_token(SECRET, URL, ["workflows:read"]).partition(".")[0]
        + "."
        + client_token(SECRET, URL).partition(".")[2],
    ],
    ids=["the secret itself", "empty", "word", "dot", "no ASCII", "other secret", "other address", "scopes of another"],
)
def test_no_other_token_lets_in(token: str) -> None:
    assert _status(authorization=f"Bearer {token}") == 401


def test_nobody_gets_in_without_a_token() -> None:
    assert _status() == 401


def test_a_web_page_that_got_hold_of_a_name_for_this_machine_is_refused() -> None:
    token = _bearer(client_token(SECRET, URL))
    assert _status("http://evil.example:8710", **token) == 421
    assert _status("http://127.0.0.1:9999", **token) == 421
    assert _status(origin="http://evil.example", **token) == 403
    assert _status(origin="http://localhost:8710", **token) not in {401, 403, 421}


def test_only_this_machine_is_served() -> None:
    with pytest.raises(NotAllowed, match=r"listens on this machine only, not on '0\.0\.0\.0'"):
        http_app(_server(), token=SECRET, host="0.0.0.0", port=8710)  # noqa: S104  # it is refused
    assert resource_url("::1", 1) == "http://[::1]:1/mcp"


def test_a_connection_sees_and_calls_only_what_its_scopes_allow() -> None:
    async def story() -> tuple[list[str], Any, Any]:
        token = client_token(SECRET, URL, ["workflows:read"])
        async with _http(**_bearer(token)) as http, Client(streamable_http_client(URL, http_client=http)) as client:
            names = [tool.name for tool in (await client.list_tools()).tools]
            return names, await client.call_tool("look", {}), await client.call_tool("go", {})

    names, seen, refused = anyio.run(story)
    assert names == ["look"]
    assert isinstance(seen, CallToolResult)
    assert not seen.is_error
    assert refused.is_error
    assert "needs the scope 'workflows:publish'" in refused.content[0].text


def test_every_tool_has_a_scope_that_exists() -> None:
    assert set(NEEDS.values()) == set(SCOPES)
