"""Each client's snippet, read as the client would read it."""

import json
import shlex
import tomllib
from typing import Any

import pytest

from cli.mcp_config import CLIENTS, Local, Place, Remote, snippet
from runtime.errors import NotAllowed

LOCAL = Local("/opt/my tools/tidings", ("mcp",), (("TIDINGS_HOME", "/home/ada/my app/.tidings"),))
REMOTE = Remote("http://127.0.0.1:8710/mcp", "abc.def")
ENTRY = {"command": "/opt/my tools/tidings", "args": ["mcp"], "env": {"TIDINGS_HOME": "/home/ada/my app/.tidings"}}
HEADERS = {"Authorization": "Bearer abc.def"}


def _body(client: str, place: Place) -> str:
    where, _, body = snippet(client, place).partition("\n")
    assert where.startswith("# ")
    assert where.endswith(":")
    return body


def _read(client: str, place: Place) -> Any:
    body = _body(client, place)
    if client == "codex":
        return tomllib.loads(body)["mcp_servers"]["tidings"]
    return json.loads(body)["servers" if client == "vscode" else "mcpServers"]["tidings"]


@pytest.mark.parametrize("client", sorted(CLIENTS.keys() - {"claude-code"}))
def test_a_client_starts_the_server_by_its_whole_path(client: str) -> None:
    assert ENTRY.items() <= _read(client, LOCAL).items()


@pytest.mark.parametrize(
    ("client", "entry"),
    [
        ("codex", {"url": REMOTE.url, "http_headers": HEADERS}),
        ("cursor", {"url": REMOTE.url, "headers": HEADERS}),
        ("gemini-cli", {"httpUrl": REMOTE.url, "headers": HEADERS}),
        ("vscode", {"type": "http", "url": REMOTE.url, "headers": HEADERS}),
        ("windsurf", {"serverUrl": REMOTE.url, "headers": HEADERS}),
    ],
)
def test_a_client_reaches_the_running_server_with_its_token(client: str, entry: dict[str, Any]) -> None:
    assert _read(client, REMOTE) == entry


def test_claude_code_gets_commands() -> None:
    assert shlex.split(_body("claude-code", LOCAL)) == [
        *("claude", "mcp", "add", "tidings", "--env", "TIDINGS_HOME=/home/ada/my app/.tidings"),
        *("--", "/opt/my tools/tidings", "mcp"),
    ]
    assert shlex.split(_body("claude-code", REMOTE))[-2:] == ["--header", "Authorization: Bearer abc.def"]


def test_claude_desktop_starts_its_servers_itself() -> None:
    with pytest.raises(NotAllowed, match="Leave --http out"):
        snippet("claude-desktop", REMOTE)
