"""An MCP server that refuses what it does not understand, says how to go on, and shows each caller only its tools."""

import logging
from collections.abc import Callable, Mapping
from inspect import cleandoc
from typing import Any

import anyio.to_thread
from mcp import MCPError
from mcp.server import MCPServer
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.provider import TokenVerifier
from mcp.server.auth.settings import AuthSettings
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError, UnexpectedToolError
from mcp.server.transport_security import TransportSecuritySettings
from mcp.types import INVALID_PARAMS, CallToolResult, GetPromptResult, InputRequiredResult, Tool
from pydantic import ValidationError
from starlette.applications import Starlette

from runtime.spec.nearest import nearest
from tools.failures import explanation
from tools.untrusted import cut

_LONGEST_VALUE = 80
_log = logging.getLogger(__name__)


class StrictServer(MCPServer[Any]):
    """Unknown tools and arguments are errors that name the known ones; crashes stay hidden, refusals are explained."""

    async def list_tools(self) -> list[Tool]:
        """Return the tools with closed schemas, without the titles and defaults that say nothing to a reader."""
        return [_plain(tool) for tool in await super().list_tools()]

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[Any, Any] | None = None
    ) -> CallToolResult | InputRequiredResult:
        """Call a tool; raises ToolError with what was wrong, what is accepted and what to do next."""
        self._check(name, arguments, {tool.name: tool for tool in await self.list_tools()})
        try:
            return await super().call_tool(name, arguments, context)
        except ToolError as error:
            raise self._told(name, error) from error.__cause__

    async def get_prompt(
        self, name: str, arguments: dict[str, Any] | None = None, context: Context[Any, Any] | None = None
    ) -> GetPromptResult | InputRequiredResult:
        """Return a prompt; an unknown one is the client's mistake, and no crash of ours."""
        known = [prompt.name for prompt in await self.list_prompts()]
        if name not in known:
            raise MCPError(
                code=INVALID_PARAMS, message=f"Unknown prompt {name!r}. There is {', '.join(known) or 'none'}."
            )
        return await super().get_prompt(name, arguments, context)

    def authorized_app(
        self, *, verifier: TokenVerifier, auth: AuthSettings, security: TransportSecuritySettings, host: str
    ) -> Starlette:
        """Return a new Streamable HTTP app at /mcp that answers only who the verifier knows."""
        return self._lowlevel_server.streamable_http_app(
            auth=auth, token_verifier=verifier, transport_security=security, host=host
        )

    @staticmethod
    def _check(name: str, arguments: Mapping[str, Any], tools: Mapping[str, Tool]) -> None:
        if name not in tools:
            best = nearest(name, tools)
            raise ToolError(
                f"Unknown tool {name!r}. " + (f"Did you mean {best!r}?" if best else f"There is {', '.join(tools)}.")
            )
        accepted = tools[name].input_schema.get("properties", {})
        unknown = [argument for argument in arguments if argument not in accepted]
        if unknown:
            meant = [f"{best!r} for {argument!r}" for argument in unknown if (best := nearest(argument, accepted))]
            raise ToolError(
                f"{name}: unknown argument(s) {', '.join(unknown)}. Accepted: {', '.join(accepted) or 'none'}."
                + (f" Did you mean {', '.join(meant)}?" if meant else "")
            )

    @staticmethod
    def _told(name: str, error: ToolError) -> ToolError:
        """Say bad arguments in short, and what Tidings refused in its own words; a crash stays as it is."""
        cause = error.__cause__
        if isinstance(cause, ValidationError) and not isinstance(error, UnexpectedToolError):
            return ToolError(f"{name}: invalid arguments: {_complaints(cause)}")
        known = explanation(cause) if cause is not None else None
        return ToolError(f"{name}: {known}") if known is not None else error


class ScopedServer(StrictServer):
    """Each tool needs a scope: who lacks it neither sees nor calls the tool. No token (stdio) is the local user.

    `obstacle` is asked before each call, in a worker thread, and returns why no tool can work now, or nothing.
    """

    def __init__(
        self, *arguments: Any, needs: Mapping[str, str], obstacle: Callable[[], str] = str, **options: Any
    ) -> None:
        super().__init__(*arguments, **options)
        self._needs = dict(needs)
        self._obstacle = obstacle

    async def list_tools(self) -> list[Tool]:
        """Return the tools that the caller's scopes allow, always in the same order."""
        return [tool for tool in await super().list_tools() if not self._lacks(tool.name)]

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[Any, Any] | None = None
    ) -> CallToolResult | InputRequiredResult:
        """Call a tool, or raise ToolError naming the scope that the caller lacks."""
        scope = self._lacks(name)
        if scope:
            raise ToolError(
                f"{name} needs the scope {scope!r}, which this connection lacks. Connect with a token for it."
            )
        if obstacle := await anyio.to_thread.run_sync(self._obstacle):
            raise ToolError(f"{name}: {obstacle}")
        token = get_access_token()
        _log.info("tool.called tool=%s client=%s", name, token.client_id if token else "local")
        return await super().call_tool(name, arguments, context)

    def _lacks(self, name: str) -> str:
        token = get_access_token()
        scope = self._needs.get(name, "")
        return scope if token is not None and scope and scope not in token.scopes else ""


def _complaints(error: ValidationError) -> str:
    return "; ".join(_complaint(detail) for detail in error.errors(include_url=False))


def _complaint(detail: Mapping[str, Any]) -> str:
    said = f"{'.'.join(map(str, detail['loc']))}: {detail['msg']}"
    return said if detail["type"] == "missing" else f"{said}, not {cut(repr(detail['input']), _LONGEST_VALUE)}"


def _plain(tool: Tool) -> Tool:
    parts: dict[str, Any] = {
        "description": cleandoc(tool.description or ""),
        "input_schema": {**_without(tool.input_schema, {"title"}), "additionalProperties": False},
    }
    if tool.output_schema is not None:
        answer = {key: value for key, value in tool.output_schema.items() if key != "description"}
        parts["output_schema"] = _without(answer, {"title", "default", "additionalProperties"})
    return tool.model_copy(update=parts)


def _without(schema: Any, keywords: set[str]) -> Any:
    """Drop keywords that say nothing new to a reader; properties that are called so stay."""
    match schema:
        case dict():
            return {
                key: {name: _without(inner, keywords) for name, inner in value.items()}
                if key in {"properties", "$defs"}
                else _without(value, keywords)
                for key, value in schema.items()
                if key not in keywords
            }
        case list():
            return [_without(value, keywords) for value in schema]
        case _:
            return schema
