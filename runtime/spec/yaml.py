"""Specs as text: YAML for people, JSON too. Every scalar is a string, so `on`, `no` and 21:00 stay what was written."""

import json
import re
from typing import Any

import yaml

from runtime.errors import Invalid, Problem
from runtime.spec.canonical import canonical
from runtime.spec.model import Workflow
from runtime.spec.reading import parse_spec, pointer

__all__ = ["dump_spec", "load_spec", "parse_spec"]

_LONGEST = 1_000_000
_DEEPEST = 20
_WIDTH = 110
_UNUSUAL = re.compile(
    "[^\\n\\x20-\\x7e\\xa1-\\u2027\\u202a-\\ud7ff\\ue000-\\ufefe\\uff00-\\ufffd\\U00010000-\\U0010fffe]"
)
"""Characters that YAML folds, trims or refuses when they stand plain."""


def load_spec(text: str) -> Workflow:
    """Read a workflow from YAML or JSON; raises Invalid with every problem, syntax errors with line and column."""
    return parse_spec(_data(text))


def dump_spec(workflow: Workflow) -> str:
    """Write a workflow as YAML for people: what is empty is left out, long SQL stands in blocks. Loads back equal."""
    data = canonical(workflow)
    text = _dumped(data, _Nice)
    if yaml.load(text, Loader=_Strict) == data:  # noqa: S506  # _Strict builds texts, lists and dicts only
        return text
    return _dumped(data, _Plain)


def _data(text: str) -> Any:
    if len(text) > _LONGEST:
        raise Invalid([_problem("too-long", f"The spec has {len(text):,} characters.", f"At most {_LONGEST:,}.")])
    if text.lstrip().startswith("{"):
        try:
            return json.loads(text, object_pairs_hook=_unique, parse_int=str, parse_float=str)
        except (json.JSONDecodeError, RecursionError):
            pass  # a YAML flow mapping starts like JSON, and its errors have a better place
    try:
        _check_events(text)
        return yaml.load(text, Loader=_Strict)  # noqa: S506  # see above
    except yaml.MarkedYAMLError as error:
        raise Invalid([_syntax_problem(error)]) from None
    except yaml.reader.ReaderError as error:
        message = f"Character {error.position} can't stand in YAML ({error.reason})."
        raise Invalid(
            [_problem("yaml-syntax", message, "Remove it, or write it as an escape in double quotes.")]
        ) from None


def _check_events(text: str) -> None:
    """Refuse what makes a small text a large or deep tree, before any tree is built."""
    depth = documents = 0
    for event in yaml.parse(text, Loader=yaml.BaseLoader):
        line = event.start_mark.line + 1 if event.start_mark else 0
        if isinstance(event, yaml.AliasEvent):
            message = f"Line {line} repeats another part by *{event.anchor}."
            raise Invalid([_problem("yaml-alias", message, "Write the part out; anchors and aliases are not read.")])
        documents += isinstance(event, yaml.DocumentStartEvent)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            message = f"Line {line} is nested deeper than {_DEEPEST} levels."
            raise Invalid([_problem("too-deep", message, "Flatten it.")])
        if documents > 1:
            message = f"A second document starts at line {line}."
            raise Invalid([_problem("two-documents", message, "Write one workflow a file.")])


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    twice = next((key for key in keys if keys.count(key) > 1), None)
    if twice is not None:
        raise Invalid([_problem("duplicate-key", f"The key {twice!r} is written twice.", "Keep one of them.")])
    return dict(pairs)


def _problem(code: str, message: str, fix: str) -> Problem:
    return Problem("", code, message, fix)


def _syntax_problem(error: yaml.MarkedYAMLError) -> Problem:
    mark = error.problem_mark or error.context_mark
    place = f"Line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    what = " ".join(filter(None, [error.context, error.problem]))
    fix = "Check the indentation and quote texts that hold ': ' or start with one of { [ * & ! % @ ` \" '."
    return _problem("yaml-syntax", f"{place}{what}.", fix)


class _Strict(yaml.BaseLoader):
    """Every scalar a string; a key written twice is refused with its place."""

    def construct_document(self, node: yaml.Node) -> Any:
        doubles = list(_doubles(node, ()))
        if doubles:
            raise Invalid(doubles)
        return super().construct_document(node)


def _doubles(node: yaml.Node, place: tuple[str | int, ...]) -> Any:
    """Yield a problem for each key that a mapping has twice, anywhere below."""
    if isinstance(node, yaml.SequenceNode):
        for number, inner in enumerate(node.value):
            yield from _doubles(inner, (*place, number))
    if not isinstance(node, yaml.MappingNode):
        return
    seen: set[str] = set()
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            message = f"Line {key.start_mark.line + 1} has a list or mapping as a key."
            yield Problem(pointer(place), "bad-key", message, "Keys are words.")
            continue
        if key.value in seen:
            message = f"The key {key.value!r} is written twice; again at line {key.start_mark.line + 1}."
            yield Problem(pointer((*place, key.value)), "duplicate-key", message, "Keep one of them.")
        seen.add(key.value)
        yield from _doubles(value, (*place, key.value))


class _Plain(yaml.SafeDumper):
    """Block style; no aliases, so that equal parts are written out."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


class _Nice(_Plain):
    """Texts of several lines as `|` blocks, long ones folded, lists of short words in brackets."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = None
    if _UNUSUAL.search(text):
        style = '"'
    elif "\n" in text:
        style = "|"
    elif len(text) > _WIDTH - 20 and "  " not in text and text == text.strip():
        style = ">"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _represent_list(dumper: yaml.SafeDumper, values: list[Any]) -> yaml.SequenceNode:
    short = all(isinstance(value, str) and value.isidentifier() for value in values)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", values, flow_style=short)


_Nice.add_representer(str, _represent_text)
_Nice.add_representer(list, _represent_list)


def _dumped(data: Any, dumper: type[yaml.SafeDumper]) -> str:
    style = '"' if dumper is _Plain else None
    text: str = yaml.dump(
        data, Dumper=dumper, sort_keys=False, allow_unicode=style is None, width=_WIDTH, default_style=style
    )
    return text
