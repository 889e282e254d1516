"""What the Messages API refuses: the SDK's request types as closed JSON Schema, and the rules its documentation adds.

The SDK's types let unknown keys pass and check lists lazily; the API does neither, so the schemas are closed here.
"""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from anthropic.types.message_create_params import MessageCreateParamsNonStreaming, MessageCreateParamsStreaming
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match
from pydantic import TypeAdapter

VERSIONS = ("2023-06-01", "2026-10-21")
MOST_BREAKPOINTS = 4
MOST_STRICT_TOOLS = 20
MOST_OPTIONAL = 24
MOST_UNIONS = 16
_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_SCHEMA_KEYS = frozenset(
    ["type", "properties", "required", "additionalProperties", "items", "enum", "const", "anyOf", "allOf"]
) | frozenset(["$ref", "$defs", "definitions", "description", "title", "default", "format", "minItems"])
_FORMATS = frozenset(["date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"])


def refusal(body: Any) -> str | None:
    """Return why the API would answer 400, or None."""
    if not isinstance(body, dict):
        return "body: Input should be an object"
    if error := best_match(_shape(stream=bool(body.get("stream"))).iter_errors(body)):
        return f"{'.'.join(map(str, error.absolute_path)) or 'body'}: {error.message[:300]}"
    rules = (_messages, _turns, _breakpoints, _tools, _output, _lengths)
    return next((why for rule in rules for why in rule(body)), None)


def schema_refusals(schema: dict[str, Any], *, where: str = "output_config.format.schema") -> list[str]:
    """Return everything that structured outputs do not take: open objects, recursion, unknown keywords, too much."""
    found = list(_nodes(schema, where, schema, ()))
    complaints = [text for text, _ in found if text]
    kinds = [kind for _, kind in found]
    for kind, most in (("optional", MOST_OPTIONAL), ("union", MOST_UNIONS)):
        if kinds.count(kind) > most:
            complaints.append(f"{where}: {kinds.count(kind)} {kind} parameters, at most {most}")
    return complaints


@cache
def _shape(*, stream: bool) -> Draft202012Validator:
    kind: Any = MessageCreateParamsStreaming if stream else MessageCreateParamsNonStreaming
    return Draft202012Validator(_closed(TypeAdapter(kind).json_schema()))


def _closed(node: Any) -> Any:
    if isinstance(node, dict) and node.get("type") == "object" and "properties" in node:
        node["additionalProperties"] = False
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        _closed(child)
    return node


def _blocks(body: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every block in the order in which the cache sees it: tools, system, messages."""
    for number, tool in enumerate(body.get("tools", [])):
        yield f"tools.{number}", tool
    system = body.get("system", [])
    for number, block in enumerate(system if isinstance(system, list) else []):
        yield f"system.{number}", block
    for number, message in enumerate(body["messages"]):
        content = message["content"] if isinstance(message["content"], list) else []
        for inner, block in enumerate(content):
            yield f"messages.{number}.content.{inner}", block


def _messages(body: dict[str, Any]) -> Iterator[str]:
    messages = body["messages"]
    if not messages:
        yield "messages: at least one message is required"
        return
    if messages[0]["role"] != "user":
        yield "messages: first message must use the user role"
    for number, message in enumerate(messages):
        if not message["content"]:
            yield f"messages.{number}: content must not be empty"
        elif isinstance(message["content"], str) and not message["content"].strip():
            yield f"messages.{number}: text content blocks must contain non-whitespace text"
    for where, block in _blocks(body):
        if block.get("type") == "text" and not block["text"].strip():
            yield f"{where}: text content blocks must contain non-whitespace text"


def _turns(body: dict[str, Any]) -> Iterator[str]:
    waiting: set[str] = set()
    for number, message in enumerate(body["messages"]):
        blocks = message["content"] if isinstance(message["content"], list) else []
        answered = {block["tool_use_id"] for block in blocks if block["type"] == "tool_result"}
        if message["role"] == "user" and answered != waiting:
            yield f"messages.{number}: tool_result {sorted(answered)}, pending tool_use {sorted(waiting)}"
        waiting = {block["id"] for block in blocks if block["type"] == "tool_use"}
    if waiting:
        yield f"messages: tool_use {sorted(waiting)} without tool_result"
    if body.get("output_config", {}).get("format") and body["messages"][-1]["role"] == "assistant":
        yield "messages: the final message can't be prefilled when output_config.format is set"


def _breakpoints(body: dict[str, Any]) -> Iterator[str]:
    marked = [(where, block) for where, block in _blocks(body) if block.get("cache_control")]
    if len(marked) > MOST_BREAKPOINTS:
        yield f"A maximum of {MOST_BREAKPOINTS} blocks with cache_control may be provided. Found {len(marked)}."
    short = False
    for where, block in marked:
        ttl = block["cache_control"].get("ttl", "5m")
        if ttl == "1h" and short:
            yield f"{where}.cache_control: a ttl='1h' block must not come after a ttl='5m' block"
        short = short or ttl == "5m"


def _tools(body: dict[str, Any]) -> Iterator[str]:
    tools = body.get("tools", [])
    names = [tool.get("name", "") for tool in tools]
    if len(set(names)) < len(names):
        yield "tools: Tool names must be unique."
    yield from (f"tools.{number}.name: bad name" for number, name in enumerate(names) if not _TOOL_NAME.fullmatch(name))
    strict = [tool for tool in tools if tool.get("strict")]
    if len(strict) > MOST_STRICT_TOOLS:
        yield f"tools: {len(strict)} strict tools, at most {MOST_STRICT_TOOLS}"
    for tool in strict:
        yield from schema_refusals(tool["input_schema"], where=f"tools.{tool['name']}.input_schema")


def _output(body: dict[str, Any]) -> Iterator[str]:
    form = body.get("output_config", {}).get("format")
    if form:
        yield from schema_refusals(form["schema"])


def _lengths(body: dict[str, Any]) -> Iterator[str]:
    if body["max_tokens"] < 0 or (body.get("stream") and body["max_tokens"] == 0):
        yield "max_tokens: must be at least 1"
    thinking = body.get("thinking", {})
    if thinking.get("type") == "enabled" and not 1024 <= thinking.get("budget_tokens", 0) < body["max_tokens"]:
        yield "thinking.budget_tokens: must be at least 1024 and less than max_tokens"


def _nodes(node: Any, where: str, root: dict[str, Any], way: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Yield (complaint, kind) for every node of a schema; kind is optional, union or empty."""
    if not isinstance(node, dict):
        yield f"{where}: a schema is an object", ""
        return
    yield from ((complaint, "") for complaint in _complaints(node, where))
    if "anyOf" in node or isinstance(node.get("type"), list):
        yield "", "union"
    if node.get("type") == "object":
        yield from (("", "optional") for _ in node.get("properties", {}).keys() - set(node.get("required", [])))
    if "$ref" in node:
        yield from _referred(node["$ref"], where, root, way)
    for name, child in _children(node):
        yield from _nodes(child, f"{where}.{name}", root, way)


def _children(node: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    yield from node.get("properties", {}).items()
    yield from ((str(number), child) for number, child in enumerate([*node.get("anyOf", []), *node.get("allOf", [])]))
    if "items" in node:
        yield "items", node["items"]


def _complaints(node: dict[str, Any], where: str) -> Iterator[str]:
    kind = node.get("type", "any")
    for key in sorted(node.keys() - _SCHEMA_KEYS):
        yield f"{where}: For '{kind}' type, property '{key}' is not supported"
    if not node.keys() & {"type", "anyOf", "allOf", "enum", "const", "$ref"}:
        yield f"{where}: a schema needs a type"
    if kind == "object" and node.get("additionalProperties") is not False:
        yield f"{where}: For 'object' type, 'additionalProperties' must be explicitly set to false"
    if node.get("minItems", 0) not in (0, 1):
        yield f"{where}: For 'array' type, 'minItems' values other than 0 or 1 are not supported"
    if node.get("format", "date") not in _FORMATS:
        yield f"{where}: For 'string' type, format {node['format']!r} is not supported"
    if any(isinstance(value, dict | list) for value in node.get("enum", [])):
        yield f"{where}: complex values in an enum are not supported"


def _referred(ref: str, where: str, root: dict[str, Any], way: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    target = root.get("$defs", {}).get(ref.removeprefix("#/$defs/"))
    if ref in way:
        yield f"{where}: Circular reference detected: {ref}", ""
    elif target is None:
        yield f"{where}: {ref} is not a definition of this schema", ""
    else:
        yield from _nodes(target, where, root, (*way, ref))
