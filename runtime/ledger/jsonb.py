"""JSON as the ledger keeps it: numbers exact, instants as ISO texts, so that Postgres reads back what it gave."""

import json
import math
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

_text = json.JSONEncoder(ensure_ascii=False).encode
_LONGEST_INT = 4_000
"""Digits; Python refuses to read longer ones as int."""


def to_json(value: Any) -> str:
    """Return the JSON text of what `runtime.source.values` promises, in dicts and lists.

    A Decimal becomes a number with all its digits. What JSON has no number for (NaN, infinity) becomes the text that
    Postgres reads as that number. Raises TypeError for anything else.
    """
    match value:
        case str():
            return _text(value)
        case None | bool():
            return {None: "null", True: "true", False: "false"}[value]
        case int() | float() | Decimal():
            return _number(value)
        case datetime() | date():
            return f'"{value.isoformat()}"'
        case Mapping():
            return "{" + ", ".join(f"{_text(str(name))}: {to_json(inner)}" for name, inner in value.items()) + "}"
        case Sequence():
            return "[" + ", ".join(map(to_json, value)) + "]"
    raise TypeError(f"a {type(value).__name__} can't be kept as JSON")


def from_json(text: str) -> Any:
    """Return the value of a JSON text: whole numbers as int, all others as Decimal."""
    return json.loads(text, parse_float=Decimal, parse_int=_whole)


def _number(value: float | Decimal) -> str:
    if isinstance(value, int):
        return str(Decimal(value))
    if not math.isfinite(value):
        return f'"{value}"'
    return repr(value) if isinstance(value, float) else str(value)


def _whole(digits: str) -> int | Decimal:
    return int(digits) if len(digits) < _LONGEST_INT else Decimal(digits)
