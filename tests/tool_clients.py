"""MCP clients for tests, over every way by which a client may come: in memory, a real process, a real port."""

import json
import socket
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import httpx2
import uvicorn
from anyio.from_thread import BlockingPortal, start_blocking_portal
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CallToolResult, Tool

from runtime.settings import load_settings, write_project
from tools.drafter import Drafter
from tools.http import client_token, http_app, resource_url
from tools.scopes import SCOPES
from tools.server import build_server
from tools.services import Services, open_services

ROOT = Path(__file__).parents[1]
TOKEN = "the-console-token-of-a-test"
WAYS = ("memory", "memory-legacy", "stdio", "http")


@dataclass(frozen=True)
class Answered:
    """What came back: the structure, the text, and whether it is an error."""

    data: dict[str, Any]
    text: str
    is_error: bool


@dataclass(frozen=True)
class Tools:
    """A connected client, called from plain tests."""

    client: Client
    portal: BlockingPortal

    def call(self, name: str, /, **arguments: Any) -> Answered:
        """Call a tool that must succeed."""
        answer = self.attempt(name, **arguments)
        assert not answer.is_error, answer.text
        return answer

    def attempt(self, name: str, /, **arguments: Any) -> Answered:
        """Call a tool that may fail."""
        result = self.portal.call(self.client.call_tool, name, arguments)
        assert isinstance(result, CallToolResult)
        text = "\n".join(part.text for part in result.content if part.type == "text")
        return Answered(result.structured_content or {}, text, bool(result.is_error))

    def refused(self, name: str, /, **arguments: Any) -> str:
        """Call a tool that must be an error, and return its text."""
        answer = self.attempt(name, **arguments)
        assert answer.is_error, answer.text
        return answer.text

    def list(self) -> list[Tool]:
        """Return the tools that the client sees."""
        return self.portal.call(self.client.list_tools).tools

    def read(self, uri: str) -> str:
        """Return a resource's text."""
        result = self.portal.call(self.client.read_resource, uri)
        return "".join(getattr(part, "text", "") for part in result.contents)


def write_home(folder: Path, database: str) -> Path:
    """Write a home whose project is the test's database, as every role."""
    home = folder / "home"
    write_project(
        home, project="test", installer_url=database, ledger_url=database, reader_url=database, console_token=TOKEN
    )
    return home


@contextmanager
def opened(home: Path) -> Iterator[Services]:
    """Yield the services of a home, without the environment's settings."""
    with open_services(load_settings(home, environ={})) as services:
        yield services


@contextmanager
def connected(
    way: str, home: Path, *, drafter: Drafter | None = None, scopes: tuple[str, ...] = SCOPES
) -> Iterator[Tools]:
    """Yield a client that came this way: one of WAYS. Over stdio there is no drafter; only HTTP knows scopes."""
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(_client(way, home, drafter, scopes)) as client,
    ):
        yield Tools(client, portal)


@asynccontextmanager
async def _client(way: str, home: Path, drafter: Drafter | None, scopes: tuple[str, ...]) -> AsyncIterator[Client]:
    if way == "stdio":
        async with Client(process(home), read_timeout_seconds=60) as client:
            yield client
        return
    with opened(home) as services:
        server = build_server(services, drafter=drafter)
        if way == "http":
            async with _served(server, scopes) as client:
                yield client
        else:
            async with Client(server, mode="legacy" if way.endswith("legacy") else "auto") as client:
                yield client


def process(home: Path) -> StdioServerParameters:
    """Return how a chat client starts `tidings mcp`."""
    environment = {"TIDINGS_HOME": str(home), "PYTHONWARNINGS": "error::DeprecationWarning:tools"}
    return StdioServerParameters(command=sys.executable, args=["-m", "cli", "mcp"], env=environment, cwd=ROOT)


@asynccontextmanager
async def _served(server: Any, scopes: tuple[str, ...]) -> AsyncIterator[Client]:
    port = free_port()
    url = resource_url("127.0.0.1", port)
    app = http_app(server, token=TOKEN, host="127.0.0.1", port=port)
    bearer = {"authorization": f"Bearer {client_token(TOKEN, url, scopes)}"}
    async with (
        listening(app, port),
        httpx2.AsyncClient(headers=bearer, timeout=60) as http,
        Client(streamable_http_client(url, http_client=http), read_timeout_seconds=60) as client,
    ):
        yield client


@asynccontextmanager
async def listening(app: Any, port: int) -> AsyncIterator[None]:
    """Serve an app on a port of this machine for as long as the context lasts."""
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error", lifespan="on"))
    async with anyio.create_task_group() as group:
        group.start_soon(server._serve)
        with anyio.fail_after(5):
            while not server.started:  # noqa: ASYNC110  # uvicorn offers nothing to wait for
                await anyio.sleep(0.01)
        try:
            yield
        finally:
            server.should_exit = True


def free_port() -> int:
    """Return a port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def leaves(value: Any) -> Iterator[str]:
    """Yield every value at the end of a structure, as a text shows it."""
    match value:
        case Mapping():
            for inner in value.values():
                yield from leaves(inner)
        case list():
            for inner in value:
                yield from leaves(inner)
        case bool():
            yield "yes" if value else "no"
        case None:
            yield "null"
        case _:
            yield str(value)


def missing_from_text(answer: Answered) -> list[str]:
    """Return the structure's values that the text does not have."""
    text = _plain(answer.text)
    return [leaf for leaf in leaves(answer.data) if _plain(leaf) not in text]


def as_json(answer: Answered) -> str:
    """Return all that a client could show of an answer, its text and its structure."""
    return answer.text + json.dumps(answer.data, ensure_ascii=False)


def _plain(text: str) -> str:
    return " ".join(text.split())
