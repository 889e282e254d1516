"""The thin side of MCP: a tool is called by name, its structured answer comes back as a dict, a refusal as an error."""

from collections.abc import Callable
from typing import Any

from mcp import Client, MCPError
from mcp.types import TextContent, TextResourceContents

from runtime.errors import TidingsError


class Refused(TidingsError):  # noqa: N818  # read like its family in runtime/errors.py
    """A tool said no; the message is the tool's, with what to do next."""


class Toolbox:
    """The tools of an MCP server, for one run of the graph."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._resources: dict[str, str] = {}

    async def call(self, name: str, /, **arguments: Any) -> dict[str, Any]:
        """Call a tool and return its structured content; raises Refused with the tool's own words."""
        return await self.follow(name, lambda _: None, **arguments)

    async def follow(self, name: str, tell: Callable[[str], None], /, **arguments: Any) -> dict[str, Any]:
        """Call a tool as `call` does, and tell its progress."""

        async def heard(progress: float, total: float | None, message: str | None) -> None:  # noqa: ARG001  # MCP's form
            tell(message or "")

        try:
            result = await self._client.call_tool(name, arguments, progress_callback=heard)
        except MCPError as error:
            raise Refused(f"{name}: {error.error.message}") from error
        if result.is_error:
            raise Refused("\n".join(part.text for part in result.content if isinstance(part, TextContent)))
        return result.structured_content or {}

    async def read(self, uri: str) -> str:
        """Return a resource's text, read once a run."""
        if uri not in self._resources:
            contents = (await self._client.read_resource(uri)).contents
            self._resources[uri] = "".join(part.text for part in contents if isinstance(part, TextResourceContents))
        return self._resources[uri]
