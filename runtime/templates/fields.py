"""The fields of a text that hold Jinja2, each with its place in the spec and the rules that hold there."""

from collections.abc import Iterator
from dataclasses import dataclass

from runtime.spec.model import Block, Text
from runtime.templates.words import Style


@dataclass(frozen=True)
class Field:
    """A template that an author wrote."""

    name: str
    """Below the text, such as `subject` or `blocks/1/columns/0/value`: the end of its JSON pointer."""
    source: str
    style: Style
    each: str = ""
    """The list over whose rows it is repeated; `row` is the row at hand."""


def fields_of(text: Text) -> Iterator[Field]:
    """Yield the fields of a text that are not empty. `each` is an expression, not a template, and not among them."""
    yield from _filled(Field("subject", text.subject, "line"), Field("preheader", text.preheader, "line"))
    yield from _filled(Field("body", text.body, "blocks"))
    for number, block in enumerate(blocks_of(text)):
        if text.blocks:
            yield from _filled(*_of_block(block, f"blocks/{number}"))


def blocks_of(text: Text) -> list[Block]:
    """Return the blocks of a text; a body is one block of Markdown."""
    return text.blocks or [Block(type="text", text=text.body)]


def field_name(text: Text, number: int, name: str) -> str:
    """Return the full name of a block's field."""
    return f"blocks/{number}/{name}" if text.blocks else "body"  # the only field of the only block


def _of_block(block: Block, place: str) -> Iterator[Field]:
    yield Field(f"{place}/text", block.text, "inline" if block.type == "heading" else "blocks")
    yield Field(f"{place}/label", block.label, "line")
    yield Field(f"{place}/href", block.href, "address")
    for number, column in enumerate(block.columns):
        each = block.each if block.type == "items" else ""
        yield Field(f"{place}/columns/{number}/label", column.label, "inline")
        yield Field(f"{place}/columns/{number}/value", column.value, "inline", each)


def _filled(*fields: Field) -> Iterator[Field]:
    yield from (field for field in fields if field.source.strip())
