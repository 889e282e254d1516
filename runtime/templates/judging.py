"""Judges the fields of a text: the policy, the names, the links, and what makes a good message."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from jinja2 import nodes

from runtime.spec.model import ChannelName, SendStep, Text
from runtime.spec.names import Names
from runtime.templates.fields import Field, blocks_of, fields_of
from runtime.templates.links import is_vague
from runtime.templates.policy import LONGEST, Flaw, Refused, flaws, parse
from runtime.templates.reading import Scope, read, row_of, scope_of
from runtime.templates.shapes import Shape
from runtime.templates.values import has_controls
from runtime.templates.words import Words, vague_link

_LONG_SUBJECT = 60


@dataclass
class Judged:
    """A text with its fields read, and what is wrong with it."""

    words: dict[str, Words] = field(default_factory=dict)
    """Field → its words; a field that can't be read is absent."""
    flaws: list[tuple[Field, Flaw]] = field(default_factory=list)
    warnings: list[tuple[Field, Flaw]] = field(default_factory=list)


def judge_text(text: Text, step: SendStep, names: Mapping[str, Names]) -> Judged:
    """Judge every field of a text."""
    judged = Judged()
    scope = scope_of(names)
    fields = list(fields_of(text))
    size = sum(len(one.source) for one in fields)
    if size > LONGEST:
        message = f"The text has {size:,} characters; at most {LONGEST:,} are taken."
        judged.flaws.append((Field("", "", "line"), Flaw(0, "too-long", message, "Leave something out.")))
        return judged
    rows = {}
    for number, block in enumerate(blocks_of(text)):
        if block.each:
            place = Field(f"blocks/{number}/each", block.each, "line")
            rows[block.each], found = _row(block.each, scope)
            judged.flaws += [(place, flaw) for flaw in found]
    for one in fields:
        _judge(one, {**scope, "row": rows[one.each]} if one.each else scope, judged)
    if _is_mail(text, step):
        judged.warnings += _manners(text)
    return judged


def _row(each: str, scope: Scope) -> tuple[Shape, list[Flaw]]:
    """Return what one row of an items block is, and what is wrong with its list."""
    try:
        tree = parse("{{ (" + each + ") }}")
    except Refused as refused:
        return Shape("row"), [refused.flaw]
    match tree.body:
        case [nodes.Output(nodes=[nodes.Expr() as expression])] if not isinstance(expression, nodes.TemplateData):
            found = list(flaws(tree))
            return (Shape("row"), found) if found else row_of(expression, scope)
    return Shape("row"), [Flaw(0, "template-syntax", f"{each!r} is no list.", "Write the name of a query.")]


def _judge(one: Field, scope: Scope, judged: Judged) -> None:
    found = list(_writing(one))
    try:
        tree = parse(one.source)
    except Refused as refused:
        judged.flaws += [(one, flaw) for flaw in (*found, refused.flaw)]
        return
    refused_of_policy = list(flaws(tree, loops=1 if one.each else 0))
    found += refused_of_policy or read(tree, scope)
    words = Words(one.source, one.style)
    judged.words[one.name] = words
    judged.flaws += [(one, flaw) for flaw in (*found, *words.flaws)]
    judged.warnings += [(one, flaw) for flaw in (*words.warnings, *_looks(one, tree))]


def _writing(one: Field) -> Iterator[Flaw]:
    if has_controls(one.source):
        message = "The text holds invisible control characters."
        yield Flaw(0, "invisible-character", message, "Type it anew instead of pasting it.")
    if one.name == "subject" and "\n" in one.source.strip():
        yield Flaw(0, "line-break", "A subject is one line.", "Write it on one line.")


def _looks(one: Field, tree: nodes.Template) -> Iterator[Flaw]:
    if one.name == "subject" and _least_length(tree) > _LONG_SUBJECT:
        message = f"The subject has more than {_LONG_SUBJECT} characters; inboxes cut it off."
        yield Flaw(0, "long-subject", message, "Say the rest in the preheader.")
    if one.name.endswith("/label") and "/columns/" not in one.name and is_vague(one.source):
        yield vague_link(one.source)


def _least_length(tree: nodes.Template) -> int:
    """Return how long a line is at least: what is always printed, values counted as one character."""
    parts = [part for node in tree.body if isinstance(node, nodes.Output) for part in node.nodes]
    return sum(len(part.data) if isinstance(part, nodes.TemplateData) else 1 for part in parts)


def _manners(text: Text) -> Iterator[tuple[Field, Flaw]]:
    if not text.preheader.strip():
        message = "Without a preheader, inboxes show the first words of the mail behind its subject."
        fix = "Write one line that goes on from the subject."
        yield Field("preheader", "", "line"), Flaw(0, "no-preheader", message, fix)


def _is_mail(text: Text, step: SendStep) -> bool:
    return ChannelName.EMAIL in step.channels and text.channel in {"", ChannelName.EMAIL.value}
