"""Hides who somebody is: addresses, names and secrets show by their column, or by their look inside a text."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from runtime.setup import likely
from runtime.spec.schema import AddressKind, Column, Table

HIDDEN = "(hidden)"
_EMAIL = re.compile(r"(?<![\w.+-])([\w.+'-])[\w.+'-]*@((?:[\w-]+\.)+[\w-]{2,})")
_PHONE = re.compile(r"(?<![\w+])\+\d[\d ()./-]{6,}\d\d(?!\w)")
_TOKEN = re.compile(r"(?<![\w-])(?=[\w-]*\d)(?=[\w-]*[A-Za-z])[\w-]{40,}(?![\w-])")
_PERSON = re.compile(
    r"(^|.* )(first|last|full|given|family|middle|maiden|nick|sur|user|display|contact|customer|recipient) ?name$"
    r"|^(surname|forename|firstname|lastname|fullname|username|birthday|dob)$"
    r"|(^|.* )(birth ?(date|day)|date of birth|street|address line ?\d?|street address|postcode|zip|zip ?code"
    r"|postal code|ip|ip address|iban|passport|tax id|national id|license plate)( .*)?$"
)
_SHORTEST = 3


def personal_columns(names: Iterable[str]) -> dict[str, str]:
    """Return which columns of a row look personal, by their names: name → email, phone, slack, secret or person."""
    columns = [Column(name=name, type="text", base="text") for name in names]
    secret = likely.secret_columns(Table(schema_name="", name="", columns=tuple(columns)))
    found: dict[str, str] = {}
    for column in columns:
        kind = likely.address_kind(column)
        if column.name in secret:
            found[column.name] = "secret"
        elif kind is not None:
            found[column.name] = kind.value
        elif _PERSON.match(likely.words(column.name)):
            found[column.name] = "person"
    return found


def mask_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row whose personal-looking columns are masked, rows inside it too."""
    kinds = personal_columns(row)
    return {name: _mask_value(value, kinds.get(name, "")) for name, value in row.items()}


def mask_address(address: str, kind: str = AddressKind.EMAIL) -> str:
    """Return an address of which only enough is left to tell two of them apart: `m…@example.org`, `…42`, `m…`."""
    if kind == "secret":
        return HIDDEN
    if kind == AddressKind.PHONE:
        return f"…{address.strip()[-2:]}"
    if "@" in address.strip("@"):
        local, _, domain = address.rpartition("@")
        return f"{local[:1]}…@{domain}"
    return f"{address.strip()[:1]}…"


def mask_inside(text: str) -> str:
    """Return a text in which every e-mail address, international phone number and long token is masked."""
    text = _EMAIL.sub(lambda found: f"{found[1]}…@{found[2]}", text)
    text = _PHONE.sub(lambda found: mask_address(found[0], AddressKind.PHONE), text)
    return _TOKEN.sub(HIDDEN, text)


def mask_known(text: str, rows: Iterable[Mapping[str, Any]]) -> str:
    """Return a text rendered from rows, without the values of their personal-looking columns, whole or word by word."""
    known: dict[str, str] = {}
    for row in rows:
        for name, kind in personal_columns(row).items():
            known |= _forms(row[name], kind)
    longest_first = "|".join(re.escape(value) for value in sorted(known, key=len, reverse=True))
    return re.sub(rf"(?<!\w)({longest_first})(?!\w)", lambda found: known[found[1]], text) if known else text


def _forms(value: Any, kind: str) -> dict[str, str]:
    if not isinstance(value, str) or len(value) < _SHORTEST:
        return {}
    forms = {value: mask_address(value, kind)}
    if kind == "person":
        forms |= {word: mask_address(word, kind) for word in value.split() if len(word) >= _SHORTEST}
    return forms


def _mask_value(value: Any, kind: str) -> Any:
    match value:
        case Mapping():
            return mask_row(value)
        case list() | tuple():
            return [_mask_value(inner, kind) for inner in value]
        case str() if kind:
            return mask_address(value, kind) if value else value
        case _ if kind == "secret" and value is not None:
            return HIDDEN
        case _:
            return value
