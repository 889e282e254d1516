"""Fixtures of the conformance suite that ask the client for something, in the ways of both protocol eras."""

from typing import Any, Literal

from mcp import MCPError
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.prompts.base import Message, UserMessage
from mcp.types import (
    INVALID_PARAMS,
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    CallToolResult,
    CreateMessageRequest,
    CreateMessageRequestParams,
    ElicitRequest,
    ElicitRequestFormParams,
    EmptyResult,
    InputRequiredResult,
    ListRootsRequest,
    SamplingMessage,
    SetLevelRequestParams,
    SubscribeRequestParams,
    TextContent,
    UnsubscribeRequestParams,
)

from tools.strict import StrictServer

_ANY = Context[Any, Any]


def add_asking(server: StrictServer) -> None:
    """Add the tools that ask, and the requests that only the older era has."""
    _add_older(server)
    _add_single(server)
    _add_with_state(server)
    _add_rounds(server)
    _add_checks(server)
    low = server._lowlevel_server
    low.add_request_handler("logging/setLevel", SetLevelRequestParams, _nothing)
    low.add_request_handler("resources/subscribe", SubscribeRequestParams, _nothing)
    low.add_request_handler("resources/unsubscribe", UnsubscribeRequestParams, _nothing)


async def _nothing(_context: Any, _params: Any) -> EmptyResult:
    return EmptyResult()


def _add_older(server: StrictServer) -> None:
    """Questions in the middle of a call: 2025-11-25."""

    @server.tool(structured_output=False)
    async def test_sampling(prompt: str, ctx: _ANY) -> str:
        """Ask the client's model."""
        message = SamplingMessage(role="user", content=TextContent(type="text", text=prompt))
        answer = await ctx.session.create_message(messages=[message], max_tokens=100, related_request_id=ctx.request_id)
        return f"LLM response: {getattr(answer.content, 'text', '')}"

    @server.tool(structured_output=False)
    async def test_elicitation(message: str, ctx: _ANY) -> str:
        """Ask the person."""
        return f"User response: {await _elicit(ctx, message, _object(username=_TEXT, email=_TEXT))}"

    @server.tool(structured_output=False)
    async def test_elicitation_sep1034_defaults(ctx: _ANY) -> str:
        """Ask with defaults of every kind."""
        return f"Elicitation completed: {await _elicit(ctx, 'With defaults', _WITH_DEFAULTS)}"

    @server.tool(structured_output=False)
    async def test_elicitation_sep1330_enums(ctx: _ANY) -> str:
        """Ask with choices of every kind."""
        return f"Elicitation completed: {await _elicit(ctx, 'With choices', _WITH_CHOICES)}"


def _add_single(server: StrictServer) -> None:
    """One question of each kind: 2026-07-28."""

    @server.tool(structured_output=False)
    async def test_input_required_result_elicitation(ctx: _ANY) -> CallToolResult | InputRequiredResult:
        """Ask for a name."""
        name = _accepted(ctx, "user_name", "name")
        return _said(f"Hello, {name}!") if name else _ask(user_name=_question("What is your name?", "name"))

    @server.tool(structured_output=False)
    async def test_input_required_result_sampling(ctx: _ANY) -> CallToolResult | InputRequiredResult:
        """Ask the client's model."""
        answer = _answer(ctx, "capital_question")
        if answer is None:
            return _ask(capital_question=_sampling("What is the capital of France?", 100))
        return _said(str(getattr(answer.content, "text", answer.content)))

    @server.tool(structured_output=False)
    async def test_input_required_result_list_roots(ctx: _ANY) -> CallToolResult | InputRequiredResult:
        """Ask for the client's roots."""
        answer = _answer(ctx, "client_roots")
        if answer is None:
            return _ask(client_roots=ListRootsRequest(method="roots/list"))
        return _said(", ".join(str(root.uri) for root in answer.roots))

    @server.prompt()
    async def test_input_required_result_prompt(ctx: _ANY) -> list[Message] | InputRequiredResult:
        """Ask before saying anything."""
        context = _accepted(ctx, "user_context", "context")
        if not context:
            return _ask(user_context=_question("What context should the prompt use?", "context"))
        return [UserMessage(content=f"In the context of {context}.")]


def _add_with_state(server: StrictServer) -> None:
    """Questions over several rounds; the class seals the state, so a changed one never gets here."""

    @server.tool(structured_output=False)
    async def test_input_required_result_request_state(ctx: _ANY) -> CallToolResult | InputRequiredResult:
        """Ask, and remember by state."""
        if _answer(ctx, "confirm") is None:
            return _ask("asked", confirm=_question("Please confirm", "ok", kind="boolean"))
        return _said("state-ok" if ctx.request_state == "asked" else "state-lost")

    @server.tool(structured_output=False)
    async def test_input_required_result_tampered_state(ctx: _ANY) -> CallToolResult | InputRequiredResult:
        """Ask, and refuse a changed state."""
        if ctx.request_state is None:
            return _ask("sealed", confirm=_question("Please confirm", "ok", kind="boolean"))
        if ctx.request_state != "sealed":
            raise MCPError(code=INVALID_PARAMS, message="The state was changed.")
        return _said("state-ok")


def _add_rounds(server: StrictServer) -> None:
    """Several questions: at once, and one after another."""

    @server.tool(structured_output=False)
    async def test_input_required_result_multiple_inputs(ctx: _ANY) -> CallToolResult | InputRequiredResult:
        """Ask three things at once."""
        names = ("user_name", "greeting", "client_roots")
        if any(_answer(ctx, name) is None for name in names):
            return _ask(
                "asked",
                user_name=_question("What is your name?", "name"),
                greeting=_sampling("Generate a greeting", 50),
                client_roots=ListRootsRequest(method="roots/list"),
            )
        return _said("Thank you.")

    @server.tool(structured_output=False)
    async def test_input_required_result_multi_round(ctx: _ANY) -> CallToolResult | InputRequiredResult:
        """Ask one thing after another."""
        if ctx.request_state is None:
            return _ask("1", step1=_question("Step 1: What is your name?", "name"))
        if ctx.request_state == "1":
            name = _accepted(ctx, "step1", "name")
            return _ask(f"2 {name}", step2=_question("Step 2: What is your favorite color?", "color"))
        return _said(f"{ctx.request_state.removeprefix('2 ')} likes {_accepted(ctx, 'step2', 'color')}.")


def _add_checks(server: StrictServer) -> None:
    """Tools that look at what the client can."""

    @server.tool(structured_output=False)
    async def test_input_required_result_capabilities(ctx: _ANY) -> CallToolResult | InputRequiredResult:
        """Ask only in ways that the client knows."""
        can = ctx.client_capabilities
        asked: dict[str, Any] = {}
        if can and can.elicitation:
            asked["name"] = _question("What is your name?", "name")
        if can and can.sampling:
            asked["greeting"] = _sampling("Generate a greeting", 50)
        return _ask(**asked) if asked and not ctx.input_responses else _said("Done.")

    @server.tool(structured_output=False)
    async def test_missing_capability(ctx: _ANY) -> str:
        """Need sampling."""
        if not (ctx.client_capabilities and ctx.client_capabilities.sampling):
            needed: dict[str, Any] = {"requiredCapabilities": {"sampling": {}}}
            raise MCPError(code=MISSING_REQUIRED_CLIENT_CAPABILITY, message="This needs sampling.", data=needed)
        return "Done."

    @server.tool(structured_output=False)
    async def test_streaming_elicitation(ctx: _ANY) -> CallToolResult | InputRequiredResult:
        """Report progress, then ask."""
        await ctx.report_progress(50, 100)
        name = _accepted(ctx, "user_name", "name")
        return _said(f"Hello, {name}!") if name else _ask(user_name=_question("What is your name?", "name"))


_TEXT = {"type": "string"}


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


_WITH_DEFAULTS = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "default": "John Doe"},
        "age": {"type": "integer", "default": 30},
        "score": {"type": "number", "default": 95.5},
        "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
        "verified": {"type": "boolean", "default": True},
    },
}
_OPTIONS = ["option1", "option2", "option3"]
_TITLED = [{"const": f"value{n}", "title": f"{word} Option"} for n, word in enumerate(("First", "Second", "Third"), 1)]
_WITH_CHOICES = {
    "type": "object",
    "properties": {
        "untitledSingle": {"type": "string", "enum": _OPTIONS},
        "titledSingle": {"type": "string", "oneOf": _TITLED},
        "legacyEnum": {
            "type": "string",
            "enum": ["opt1", "opt2", "opt3"],
            "enumNames": ["Option One", "Option Two", "Option Three"],
        },
        "untitledMulti": {"type": "array", "items": {"type": "string", "enum": _OPTIONS}},
        "titledMulti": {"type": "array", "items": {"anyOf": _TITLED}},
    },
}


async def _elicit(ctx: _ANY, message: str, schema: dict[str, Any]) -> str:
    answer = await ctx.session.elicit_form(message, schema, related_request_id=ctx.request_id)
    return f"action={answer.action}, content={answer.content}"


def _question(message: str, name: str, *, kind: Literal["string", "boolean"] = "string") -> ElicitRequest:
    form = ElicitRequestFormParams(message=message, requested_schema=_object(**{name: {"type": kind}}))
    return ElicitRequest(method="elicitation/create", params=form)


def _sampling(text: str, most: int) -> CreateMessageRequest:
    message = SamplingMessage(role="user", content=TextContent(type="text", text=text))
    return CreateMessageRequest(
        method="sampling/createMessage", params=CreateMessageRequestParams(messages=[message], max_tokens=most)
    )


def _ask(state: str | None = None, /, **requests: Any) -> InputRequiredResult:
    return InputRequiredResult(input_requests=requests, request_state=state)


def _answer(ctx: _ANY, name: str) -> Any:
    return (ctx.input_responses or {}).get(name)


def _accepted(ctx: _ANY, name: str, key: str) -> str:
    """Return what the person wrote, or nothing when the answer is missing or of another kind."""
    content = getattr(_answer(ctx, name), "content", None)
    return str(content.get(key, "")) if isinstance(content, dict) else ""


def _said(text: str) -> CallToolResult:
    return CallToolResult(content=[TextContent(type="text", text=text)])
