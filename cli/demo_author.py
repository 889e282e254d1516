"""The demo's author: a sentence becomes a workflow over a real MCP client, step by step as a chat client does."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import TextContent

from cli.demo_words import step
from cli.examples import examples_folder
from runtime.errors import TidingsError
from runtime.settings import Settings
from tools.http import client_token, resource_url

_PATIENCE = 180.0


@dataclass(frozen=True)
class Author:
    """Whoever writes the workflow: our agent where there is a key, else a spec from the examples in its place."""

    client: Client
    has_key: bool

    async def write(self, sentence: str, example: str) -> str:
        """Write, check, preview and test a workflow, and return its name; raises with what a tool said."""
        schema = await self._call("describe_schema", {})
        step("describe_schema", schema["summary"])
        name = await self._draft(sentence, example)
        verdict = await self._call("validate_workflow", {"workflow": name})
        step("validate_workflow", verdict["words"])
        preview = await self._call("preview_message", {"workflow": name})
        step("preview_message", preview["summary"])
        report = await self._call("test_workflow", {"workflow": name})
        step("test_workflow", report["summary"])
        if not report.get("passed", False):
            raise TidingsError(f"The test of {name} failed: {report['summary']}")
        return name

    async def prepare(self, name: str) -> dict[str, Any]:
        """Ask for an approval; the answer says whether a person must give one."""
        prepared = await self._call("prepare_publish", {"workflow": name})
        step("prepare_publish", prepared["summary"])
        return prepared

    async def confirm(self, name: str, digest: str) -> None:
        """Redeem the approval."""
        published = await self._call("confirm_publish", {"workflow": name, "digest": digest})
        step("confirm_publish", published["summary"])

    async def is_live(self, name: str) -> bool:
        """Return whether the workflow is live from an earlier run of the demo."""
        listed = await self._call("list_workflows", {"state": "live"})
        return any(line["name"] == name for line in listed.get("workflows", []))

    async def _draft(self, sentence: str, example: str) -> str:
        if self.has_key:
            outcome = await self._call("create_or_update_workflow", {"request": sentence})
            step("create_or_update_workflow", outcome["summary"])
            if outcome["status"] == "needs_approval":
                return str(outcome["workflow"])
            step("", f"Our agent did not finish; playing examples/{example}.yaml in its place.")
        spec = (examples_folder() / f"{example}.yaml").read_text(encoding="utf-8")
        saved = await self._call("save_workflow", {"spec": spec})
        step("save_workflow", saved["summary"])
        return str(saved["workflow"])

    async def _call(self, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
        result = await self.client.call_tool(tool, arguments)
        if result.is_error:
            said = " ".join(block.text for block in result.content if isinstance(block, TextContent))
            raise TidingsError(f"{tool} said: {said}")
        return dict(result.structured_content or {})


@asynccontextmanager
async def open_author(settings: Settings) -> AsyncIterator[Author]:
    """Connect to the server that `tidings up` runs, as any chat client would."""
    url = resource_url(settings.console_host, settings.console_port)
    headers = {"authorization": f"Bearer {client_token(settings.console_token, url)}"}
    failed: TidingsError | None = None
    async with (
        httpx2.AsyncClient(headers=headers, timeout=_PATIENCE) as http,
        Client(streamable_http_client(url, http_client=http), read_timeout_seconds=_PATIENCE) as client,
    ):
        try:
            yield Author(client, bool(settings.anthropic_api_key))
        except TidingsError as error:
            failed = error  # leaving the client with it would wrap it in a group
    if failed is not None:
        raise failed
