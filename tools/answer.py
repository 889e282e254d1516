"""What every tool returns: one structure, and a text made from it, so that both say the same.

Some clients show the model only the structure, others only the text; a fact that stood in one of them would be lost.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from mcp.types import CallToolResult, TextContent
from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer

from tools.untrusted import Marked

_INDENT = "  "


class Part(BaseModel):
    """A part of an answer; what has its default is left out of it, which saves the reader's tokens."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_serializer(mode="wrap")
    def _leave_out_defaults(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        found: dict[str, Any] = handler(self)
        fields = type(self).model_fields
        return {name: value for name, value in found.items() if getattr(self, name) != fields[name].default}


class Answer(Part):
    """The beginning of every answer."""

    summary: str = Field(description="What is so, or what happened, in a sentence.")
    next_step: str = Field(default="", description="What to call, or to tell the person, next.")


def answered(answer: Answer) -> CallToolResult:
    """Return the result of a tool: the structure, and the same facts as text."""
    structure = answer.model_dump(mode="json")
    return CallToolResult(content=[TextContent(type="text", text=as_text(answer))], structured_content=structure)


def as_text(answer: Answer) -> str:
    """Return an answer as text: the sentence first, then its parts, what to do next last."""
    parts = {name: getattr(answer, name) for name in answer.model_dump() if name not in Answer.model_fields}
    blocks = [answer.summary, "\n".join(_lines(parts))]
    blocks.append(f"Next: {answer.next_step}" if answer.next_step else "")
    return "\n\n".join(block for block in blocks if block)


def _lines(value: Any, depth: int = 0) -> Iterator[str]:
    """Yield a value as indented lines, much like YAML; untrusted parts between their markers."""
    indent = _INDENT * depth
    match value:
        case Marked():
            yield from (f"{indent}{line}" for line in _marked(value))
        case BaseModel():
            yield from _lines({name: getattr(value, name) for name in value.model_dump()}, depth)
        case Mapping():
            for name, inner in value.items():
                yield from _entry(f"{indent}{name}:", inner, depth)
        case list() | tuple():
            for inner in value:
                yield from _item(inner, depth)
        case _:
            yield from (f"{indent}{line}" for line in _scalar(value).split("\n"))


def _entry(label: str, value: Any, depth: int) -> Iterator[str]:
    if _is_flat(value):
        yield f"{label} {_scalar(value)}"
    else:
        yield label
        yield from _lines(value, depth + 1)


def _item(value: Any, depth: int) -> Iterator[str]:
    """Yield an item of a list: a dash before its first line."""
    first, *others = list(_lines(value, depth + 1)) or [_INDENT * (depth + 1) + "(empty)"]
    yield f"{_INDENT * depth}- {first.removeprefix(_INDENT * (depth + 1))}"
    yield from others


def _marked(part: Marked) -> Iterator[str]:
    yield f"({part.integrity}) {part.note}"
    yield part.begin
    yield from _lines(part.data)
    yield part.end


def _is_flat(value: Any) -> bool:
    return not isinstance(value, BaseModel | Mapping | list | tuple) and "\n" not in _scalar(value)


def _scalar(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
