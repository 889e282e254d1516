"""From data to a Workflow: pydantic checks the shape, and every complaint is told in plain words, all at once."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError

from runtime.errors import Invalid, Problem
from runtime.spec.model import (
    Block,
    ChangeTrigger,
    Item,
    QueryStep,
    ScheduleTrigger,
    SendStep,
    Text,
    WaitStep,
    Workflow,
)
from runtime.spec.nearest import did_you_mean, nearest

_TRIGGERS: dict[str, type[BaseModel]] = {"change": ChangeTrigger, "schedule": ScheduleTrigger}
_STEPS: dict[str, type[BaseModel]] = {"query": QueryStep, "wait": WaitStep, "send": SendStep}
_PARTS: dict[str, type[BaseModel]] = {"texts": Text, "blocks": Block, "columns": Item}
_LATER = frozenset({"moment", "auth", "collect", "limits", "quiet", "overlap", "or_when", "late", "idle", "by"})
_OTHER_WORDS = {
    "on": "trigger",
    "name": "workflow",
    "description": "about",
    "filter": "when",
    "condition": "if",
    "cron": "schedule",
    "timezone": "zone",
    "table": "change",
    "events": "ops",
    "select": "sql",
    "recipients": "to",
    "message": "texts",
    "text": "texts",
    "template": "texts",
    "url": "href",
    "duration": "for",
}
_UNREADABLE = re.compile("[\\x00\\ud800-\\udfff]")
_KINDS = {str: "a text", list: "a list", dict: "a mapping of keys to values"}


class _Complaint(NamedTuple):
    kind: str
    place: tuple[str | int, ...]
    """Where, without pydantic's union tags."""
    model: type[BaseModel]
    """What was being read there."""
    found: Any
    context: dict[str, Any]


def parse_spec(data: Any) -> Workflow:
    """Read a workflow from data (of YAML, JSON or a tool call); raises Invalid with every problem of its shape.

    Every scalar counts as text: 5 is "5" and true is "true".
    """
    if not isinstance(data, Mapping):
        raise Invalid([_not_a_mapping(data)])
    unreadable = list(_bad_characters(data, ()))
    if unreadable:
        raise Invalid(unreadable)
    try:
        return Workflow.model_validate(_texts_only(data))
    except ValidationError as error:
        complaints = [_complaint(dict(detail)) for detail in error.errors(include_url=False)]
        raise Invalid(_problems(complaints)) from None


def pointer(place: Sequence[str | int]) -> str:
    """Return the JSON pointer of a place in a spec."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in place)


def _texts_only(value: Any) -> Any:
    """Turn every scalar into text, as the YAML loader does."""
    match value:
        case Mapping():
            return {str(key): _texts_only(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_texts_only(inner) for inner in value]
        case bool():
            return "true" if value else "false"
        case None:
            return ""
        case _:
            return str(value)


def _bad_characters(value: Any, place: tuple[str | int, ...]) -> Iterator[Problem]:
    """Yield a problem for each text that Postgres could not keep: NUL and halves of surrogate pairs."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _bad_characters(inner, (*place, str(key)))
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value):
            yield from _bad_characters(inner, (*place, number))
    elif isinstance(value, str) and _UNREADABLE.search(value):
        yield Problem(pointer(place), "bad-character", "Holds a character that is no text.", "Remove it.")


def _not_a_mapping(data: Any) -> Problem:
    what = "empty" if data in (None, "") else f"{_called(data)}"
    fix = "Write the keys workflow, about, trigger and steps at the left margin."
    return Problem("", "wrong-kind", f"The spec is {what}, not a mapping of keys to values.", fix)


def _complaint(detail: dict[str, Any]) -> _Complaint:
    """Follow a location of pydantic's through the models; the tag after `trigger` and `steps/n` is not in the data."""
    place: list[str | int] = []
    model: type[BaseModel] = Workflow
    parts: list[str | int] = list(detail["loc"])
    while parts:
        part = parts.pop(0)
        place.append(part)
        if part == "trigger" and len(place) == 1 and parts:
            model = _TRIGGERS[str(parts.pop(0))]
        elif isinstance(part, int) and place[0] == "steps" and len(place) == 2 and parts:  # noqa: PLR2004
            model = _STEPS[str(parts.pop(0))]
        elif isinstance(part, int) and parts:
            model = _PARTS.get(str(place[-2]), model)
    return _Complaint(detail["type"], tuple(place), model, detail["input"], detail.get("ctx", {}))


def _problems(complaints: list[_Complaint]) -> list[Problem]:
    """Tell each complaint; a key that is missing because it is misspelt is told once, as misspelt."""
    meant = {(*c.place[:-1], _meant(str(c.place[-1]), c.model)) for c in complaints if c.kind == "extra_forbidden"}
    told = [_problem(c) for c in complaints if not (c.kind == "missing" and c.place in meant)]
    return sorted(set(told), key=lambda p: [(part.isdigit(), part.zfill(6)) for part in p.path.split("/")])


def _problem(complaint: _Complaint) -> Problem:  # noqa: PLR0911  # one line per kind
    path = pointer(complaint.place)
    context = complaint.context
    match complaint.kind:
        case "extra_forbidden":
            return _unknown_key(path, complaint)
        case "missing":
            key = complaint.place[-1]
            return Problem(path, "missing-key", f"{key!r} is missing or empty.", _about(complaint.model, str(key)))
        case "unknown-kind":
            return _unknown_kind(path, complaint)
        case "string_type":
            fix = "Write one text there, not several."
            return Problem(path, "wrong-kind", f"Needs a text, but is {_called(complaint.found)}.", fix)
        case "list_type":
            fix = f"Write it as a list: [{complaint.found}]." if isinstance(complaint.found, str) else "Write a list."
            return Problem(path, "wrong-kind", f"Needs a list, but is {_called(complaint.found)}.", fix)
        case "enum" | "literal_error":
            return _not_among(path, complaint)
        case "string_pattern_mismatch":
            fix = "Use lower-case letters, digits and hyphens, a letter first, 2 to 63 in all, like 'order-shipped'."
            return Problem(path, "bad-name", f"{complaint.found!r} is not a name for a workflow.", fix)
        case "string_too_long" | "too_long":
            most = context["max_length"]
            return Problem(
                path, "too-long", f"Is {len(complaint.found):,} long; at most {most:,} are allowed.", "Shorten it."
            )
        case "string_too_short" | "too_short":
            return Problem(path, "too-short", "Is empty.", _about(complaint.model, str(complaint.place[-1])))
        case _:
            fix = "Write a mapping of keys to values there."
            return Problem(path, "wrong-kind", f"Needs a mapping, but is {_called(complaint.found)}.", fix)


def _unknown_key(path: str, complaint: _Complaint) -> Problem:
    key = str(complaint.place[-1])
    keys = _keys(complaint.model)
    kinds = set(_STEPS) if complaint.model in _STEPS.values() else set(_TRIGGERS)
    if key in kinds:
        what = "step" if complaint.model in _STEPS.values() else "trigger"
        message, fix = f"a {what} has one kind, and {key!r} is a second one.", "Make it a step of its own."
        return Problem(path, "two-kinds", message, fix if what == "step" else "Make it a workflow of its own.")
    if key in _LATER:
        return Problem(path, "not-built-yet", f"{key!r} is not built yet.", "Leave it out, or say it another way.")
    if " " in key:
        fix = "It looks like a text that was cut at a comma: put the whole text in quotes."
        return Problem(path, "unknown-key", f"unknown key {key!r}.", fix)
    meant = _meant(key, complaint.model)
    fix = f"Did you mean {meant!r}?" if meant else f"Known here: {', '.join(keys)}."
    return Problem(path, "unknown-key", f"unknown key {key!r}.", fix)


def _meant(key: str, model: type[BaseModel]) -> str:
    keys = _keys(model)
    other = _OTHER_WORDS.get(key, "")
    return other if other in keys else nearest(key, keys)


def _unknown_kind(path: str, complaint: _Complaint) -> Problem:
    kinds = _TRIGGERS if complaint.place == ("trigger",) else _STEPS
    what = "trigger" if kinds is _TRIGGERS else "step"
    names = ", ".join(kinds)
    if not isinstance(complaint.found, Mapping):
        fix = f"Write a mapping with one of the keys {names}."
        return Problem(path, "wrong-kind", f"A {what} is a mapping, not {_called(complaint.found)}.", fix)
    later = sorted(_LATER & complaint.found.keys())
    if later:
        fix = f"Say it with one of {names}."
        return Problem(path, "not-built-yet", f"The {what} {later[0]!r} is not built yet.", fix)
    guess = next(filter(None, (nearest(str(key), kinds) for key in complaint.found)), "")
    fix = f"Did you mean {guess!r}?" if guess else f"The key that names the kind carries the name: one of {names}."
    return Problem(path, "unknown-kind", f"A {what} needs exactly one of the keys {names}.", fix)


def _not_among(path: str, complaint: _Complaint) -> Problem:
    expected = str(complaint.context["expected"]).replace(" or ", ", ").replace("'", "")
    allowed = [word for word in expected.split(", ") if word]
    if not isinstance(complaint.found, str):
        message = f"Needs a text, but is {_called(complaint.found)}."
        return Problem(path, "wrong-kind", message, f"Choose from {', '.join(allowed)}.")
    if complaint.found in {"sms", "phone", "push", "webhook"}:
        message = f"The channel {complaint.found!r} is not built yet."
        return Problem(path, "not-built-yet", message, f"Choose from {', '.join(allowed)}.")
    fix = did_you_mean(complaint.found, allowed, otherwise=f"Choose from {', '.join(allowed)}.")
    return Problem(path, "unknown-value", f"{complaint.found!r} is not known here.", fix)


def _keys(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _about(model: type[BaseModel], key: str) -> str:
    """Say what a key is for, in the words of its model."""
    fields = {field.alias or name: field for name, field in model.model_fields.items()}
    field = fields.get(key)
    return (field.description if field else None) or f"Write {key!r}."


def _called(value: Any) -> str:
    return next((name for kind, name in _KINDS.items() if isinstance(value, kind)), f"{value!r}")
