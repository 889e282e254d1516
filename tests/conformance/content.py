"""Fixtures of the conformance suite that hand something out: content of every kind, resources, prompts."""

import base64
import json
import struct
import zlib
from typing import Any

import anyio
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.prompts.base import Message, UserMessage
from mcp.types import (
    AudioContent,
    Completion,
    EmbeddedResource,
    ImageContent,
    TextContent,
    TextResourceContents,
)

from tools.strict import StrictServer


def add_content(server: StrictServer) -> None:
    """Add the tools, resources and prompts that need nobody's answer."""
    _add_tools(server)
    _add_tools_that_take_time(server)
    _add_resources(server)
    _add_prompts(server)


def _add_tools(server: StrictServer) -> None:
    @server.tool(structured_output=False)
    def test_simple_text() -> str:
        """Return a text."""
        return "This is a simple text response for testing."

    @server.tool(structured_output=False)
    def test_image_content() -> ImageContent:
        """Return an image."""
        return _image()

    @server.tool(structured_output=False)
    def test_audio_content() -> AudioContent:
        """Return a sound."""
        return AudioContent(type="audio", data=_silence(), mime_type="audio/wav")

    @server.tool(structured_output=False)
    def test_embedded_resource() -> EmbeddedResource:
        """Return a resource inside the answer."""
        return _embedded("test://embedded-resource", "text/plain", "This is an embedded resource content.")

    @server.tool(structured_output=False)
    def test_multiple_content_types() -> list[Any]:
        """Return several kinds of content at once."""
        data = json.dumps({"test": "data", "value": 123}, separators=(",", ":"))
        text = TextContent(type="text", text="Multiple content types test:")
        return [text, _image(), _embedded("test://mixed-content-resource", "application/json", data)]

    @server.tool(structured_output=False)
    def test_error_handling() -> str:
        """Fail."""
        raise ToolError("This tool intentionally returns an error for testing")


def _add_tools_that_take_time(server: StrictServer) -> None:
    @server.tool(structured_output=False)
    async def test_tool_with_progress(ctx: Context[Any, Any]) -> str:
        """Report progress three times."""
        for progress in (0, 50, 100):
            await ctx.report_progress(progress, 100)
            await anyio.sleep(0.02)
        return "Done."

    @server.tool(structured_output=False)
    async def test_tool_with_logging(ctx: Context[Any, Any]) -> str:
        """Send three log messages."""
        for line in ("Tool execution started", "Tool processing data", "Tool execution completed"):
            await ctx.session.send_log_message(level="info", data=line, related_request_id=ctx.request_id)
            await anyio.sleep(0.02)
        return "Done."

    @server.tool(structured_output=False)
    async def test_logging_tool(ctx: Context[Any, Any]) -> str:
        """Send a log message to who asked for it."""
        await ctx.session.send_log_message(level="info", data="Logged.", related_request_id=ctx.request_id)
        return "Done."

    @server.tool(structured_output=False)
    async def test_trigger_tool_change(ctx: Context[Any, Any]) -> str:
        """Say that the tools have changed."""
        await ctx.notify_tools_changed()
        return "Done."

    @server.tool(structured_output=False)
    async def test_trigger_prompt_change(ctx: Context[Any, Any]) -> str:
        """Say that the prompts have changed."""
        await ctx.notify_prompts_changed()
        return "Done."


def _add_resources(server: StrictServer) -> None:
    @server.resource("test://static-text", mime_type="text/plain")
    def static_text() -> str:
        return "This is the content of the static text resource."

    @server.resource("test://static-binary", mime_type="image/png")
    def static_binary() -> bytes:
        return _png()

    @server.resource("test://watched-resource", mime_type="text/plain")
    def watched() -> str:
        return "Somebody watches this."

    @server.resource("test://template/{id}/data", mime_type="application/json")
    def from_template(id: str) -> str:  # noqa: A002  # the suite's name
        return json.dumps({"id": id, "templateTest": True, "data": f"Data for ID: {id}"})


def _add_prompts(server: StrictServer) -> None:
    @server.prompt()
    def test_simple_prompt() -> str:
        """Say one thing."""
        return "This is a simple prompt for testing."

    @server.prompt()
    def test_prompt_with_arguments(arg1: str, arg2: str) -> str:
        """Say what was given."""
        return f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'"

    @server.prompt()
    def test_prompt_with_embedded_resource(resourceUri: str) -> list[Message]:  # noqa: N803  # the suite's name
        """Show a resource."""
        shown = _embedded(resourceUri, "text/plain", "Embedded resource content for testing.")
        return [UserMessage(content=shown), UserMessage(content="Please process the embedded resource above.")]

    @server.prompt()
    def test_prompt_with_image() -> list[Message]:
        """Show an image."""
        return [UserMessage(content=_image()), UserMessage(content="Please analyze the image above.")]

    @server.completion()  # type: ignore[no-untyped-call, untyped-decorator]  # the library leaves it untyped
    async def complete(_ref: Any, argument: Any, _context: Any) -> Completion:
        words = [word for word in ("paris", "park", "party") if word.startswith(argument.value)]
        return Completion(values=words, total=len(words), has_more=False)


def _embedded(uri: str, kind: str, text: str) -> EmbeddedResource:
    return EmbeddedResource(type="resource", resource=TextResourceContents(uri=uri, mime_type=kind, text=text))


def _image() -> ImageContent:
    return ImageContent(type="image", data=base64.b64encode(_png()).decode(), mime_type="image/png")


def _png() -> bytes:
    """Return an image of one red pixel."""
    head = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(b"\x00\xff\x00\x00")), (b"IEND", b""))
    chunks = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def _silence() -> str:
    """Return a sound of a few samples, in base64."""
    samples = bytes(16)
    head = struct.pack("<4sI4s4sIHHIIHH", b"RIFF", 36 + len(samples), b"WAVE", b"fmt ", 16, 1, 1, 8000, 8000, 1, 8)
    return base64.b64encode(head + struct.pack("<4sI", b"data", len(samples)) + samples).decode()
