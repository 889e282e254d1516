"""Values worth trying for a column: what its type, its name and the conditions that mention it suggest, as texts.

Nothing here is chance: the same column and number give the same list. Postgres decides which of them hold.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from runtime.rehearsal.facts import ColumnShape
from runtime.rehearsal.names import text_values
from runtime.rehearsal.patterns import grown, patterns_in
from runtime.spec.schema import AddressKind, Column
from runtime.spec.sqltypes import NUMBERS, TEXTS, TIMES, base_type

_STRING = re.compile(r"'((?:[^']|'')*)'")
_NUMBER = re.compile(r"(?<![\w.'])\d+(?:\.\d+)?(?![\w'])")
_LENGTH = re.compile(r"\((\d+)")
_STEPS = (
    timedelta(),
    timedelta(days=-1),
    timedelta(days=1),
    timedelta(hours=-1),
    timedelta(hours=1),
    timedelta(days=-40),
    timedelta(days=40),
    timedelta(days=-400),
    timedelta(days=400),
)
_PLAIN = {
    "boolean": ("false", "true"),
    "interval": ("1 hour", "1 day", "00:00:00", "30 days"),
    "bytea": ("\\x01", "\\x"),
    "xml": ("<a/>",),
    "money": ("1.00", "10.00", "0"),
    "inet": ("192.0.2.{n}", "::1"),
    "cidr": ("192.0.2.0/24",),
    "macaddr": ("08:00:2b:01:02:{n:02x}",),
    "macaddr8": ("08:00:2b:01:02:03:04:{n:02x}",),
    "tsvector": ("a", ""),
    "tsquery": ("a",),
    "point": ("(1,{n})",),
    "line": ("{{1,1,{n}}}",),
    "lseg": ("[(0,0),(1,{n})]",),
    "box": ("((0,0),(1,{n}))",),
    "path": ("((0,0),(1,{n}))",),
    "polygon": ("((0,0),(1,0),(1,{n}))",),
    "circle": ("<(0,0),{n}>",),
    "oid": ("{n}",),
    "pg_lsn": ("0/{n}",),
    "jsonpath": ("$",),
    '"char"': ("a", "b"),
    "time without time zone": ("12:00", "09:00", "17:00", "00:00", "23:59"),
    "time with time zone": ("12:00+00", "09:00+00", "17:00+00"),
}
_ANY = ("{n}", "a", "(1,1)", "{}", "[1]", "POINT(1 1)", "a=>1", "1.0.0", "{n}.0.0.0", "")
"""For types that are not known here, such as those of extensions."""


@dataclass(frozen=True)
class Wanted:
    """A column for which values are wanted."""

    column: Column
    shape: ColumnShape
    rules: str
    """The conditions that name it, as text: their literals are the first guesses."""
    number: int
    """Which row of the world this is: makes texts and addresses different."""
    at: datetime
    asked: bool = False
    """The conditions of the row that is looked for are about it; otherwise only rules of the table are."""
    address: AddressKind | None = None
    shifted: tuple[str, ...] = ()
    """Instants that lie by an interval of the conditions before or after the present."""


def candidates(wanted: Wanted) -> list[str]:
    """Return values as texts, the likeliest first, without doubles; NULL is not among them."""
    column = wanted.column
    told, likely = list(_by_rule(wanted)), list(_by_type(wanted, column.base or column.type))
    values = likely + told if base_type(column) in NUMBERS and not wanted.asked else told + likely
    return list(dict.fromkeys(value.replace("\0", "") for value in values))


def strings_in(rules: str) -> list[str]:
    """Return the text literals of conditions, in order."""
    return list(dict.fromkeys(match.replace("''", "'") for match in _STRING.findall(rules)))


def _by_rule(wanted: Wanted) -> Iterator[str]:
    """Yield what the conditions name: literals, both sides of numbers, lengths, matching texts, JSON of their keys."""
    kind = base_type(wanted.column)
    rules = f"{wanted.rules} {wanted.shape.domain_rules}"
    if wanted.column.labels or kind == "boolean":
        return
    if kind in NUMBERS | {"money"}:
        yield from _numbers(rules)
    elif kind in TIMES:
        yield from strings_in(rules)
        yield from wanted.shifted
    elif kind in {"json", "jsonb"}:
        yield from _documents(rules)
    elif kind.endswith("[]"):
        yield from ("{" + json.dumps(text) + "}" for text in strings_in(rules))
    else:
        patterns = patterns_in(rules)
        texts = [text for text in strings_in(rules) if text not in patterns]
        yield from texts
        yield from (text for pattern in patterns for text in grown(pattern))
        yield from _lengths(rules)
        yield from (other for text in texts for other in (f"{text}x", text.upper(), text.lower()) if text)


def _numbers(rules: str) -> Iterator[str]:
    written = [*_NUMBER.findall(rules), *(text for text in strings_in(rules) if re.fullmatch(r"-?\d+(\.\d+)?", text))]
    for text in dict.fromkeys(written):
        yield text
        if "." not in text:
            yield from (str(int(text) + 1), str(int(text) - 1), f"-{text}")
        else:
            yield from (str(float(text) + 1), str(float(text) - 1))


def _lengths(rules: str) -> Iterator[str]:
    if "length" in rules:
        for text in _NUMBER.findall(rules):
            if "." not in text and int(text) <= 10_000:  # noqa: PLR2004  # longer ones cost more than they tell
                yield from ("a" * length for length in (int(text), int(text) + 1, max(int(text) - 1, 0)))


def _documents(rules: str) -> Iterator[str]:
    """Yield JSON: literals that are JSON, objects of the keys that are asked for, flat and nested."""
    texts = strings_in(rules)
    keys = [key for text in texts for key in _path(text)]
    values = [*texts, *map(float, _NUMBER.findall(rules)), 1, "a", True, False, {}, [], [1]]
    tidy = [int(value) if isinstance(value, float) and value.is_integer() else value for value in values]
    yield from (text for text in texts if text[:1] in {"{", "["})
    for value in tidy:
        if keys:
            yield json.dumps(dict.fromkeys(keys, value))
            nested: object = value
            for key in reversed([key for key in keys if key != value]):
                nested = {key: nested}
            yield json.dumps(nested)
    yield from (json.dumps({key: value}) for key in keys for value in tidy)


def _path(text: str) -> list[str]:
    """Return the keys in a text: of `'{a,b}'` two, of a name itself."""
    if re.fullmatch(r"\{[\w,]+\}", text):
        return text[1:-1].split(",")
    return [text] if re.fullmatch(r"[\w-]+", text) else []


def _by_type(wanted: Wanted, type_name: str) -> Sequence[str]:
    if wanted.column.labels:
        return wanted.column.labels
    kind = re.sub(r"\([^)]*\)", "", type_name).strip()
    if kind.endswith("[]"):
        return _arrays(wanted, type_name)
    if wanted.shape.members:
        return _composites(wanted)
    if wanted.shape.holds:
        return list(_ranges(wanted, multi="multirange" in wanted.column.type))
    return list(_simple(wanted, kind, type_name))


def _simple(wanted: Wanted, kind: str, type_name: str) -> Iterator[str]:
    number, length = wanted.number, _LENGTH.search(type_name)
    if kind in TEXTS:
        for text in text_values(wanted.column.name, number, wanted.address):
            yield text[: int(length[1])] if length else text
    elif kind in NUMBERS:
        yield from ("10", "1", "2", "5", "100", "0", str(number), "50", "1000", "-1", "0.5")
    elif kind == "date":
        yield from ((wanted.at + step).date().isoformat() for step in _STEPS)
    elif kind in TIMES and kind.startswith("timestamp"):
        yield from ((wanted.at + step).isoformat() for step in _STEPS)
    elif kind == "uuid":
        yield from (f"00000000-0000-4000-8000-{(number + more):012x}" for more in (0, 1, 1000))
    elif kind in {"json", "jsonb"}:
        yield from ("{}", "[]", '"a"', "1", "true", "null")
    elif kind in {"bit", "bit varying"}:
        yield from (digit * int(length[1] if length else 1) for digit in "01")
    else:
        values = _PLAIN.get(kind, _ANY)
        yield from (value.format(n=number) if "{n" in value else value for value in values)


def _arrays(wanted: Wanted, type_name: str) -> list[str]:
    labels = list(wanted.shape.labels)
    items = labels or list(_simple(wanted, re.sub(r"\([^)]*\)", "", type_name[:-2]).strip(), type_name[:-2]))[:3]
    return ["{" + ",".join(map(json.dumps, part)) + "}" for part in (items[:1], items[:2], items[:3], [])]


def _composites(wanted: Wanted) -> list[str]:
    members = [next(_simple(wanted, re.sub(r"\([^)]*\)", "", kind).strip(), kind)) for kind in wanted.shape.members]
    filled = ",".join('"' + member.replace('"', '""') + '"' for member in members)
    return [f"({filled})", f"({',' * (len(members) - 1)})"]


def _ranges(wanted: Wanted, *, multi: bool) -> Iterator[str]:
    """Yield ranges side by side, so that those of different rows do not overlap."""
    before, after = ("{", "}") if multi else ("", "")
    for place in (wanted.number, wanted.number + 1, wanted.number + 1000):
        if wanted.shape.holds.startswith(("date", "timestamp")):
            day = wanted.at + timedelta(days=place)
            low, high = day.isoformat(), (day + timedelta(days=1)).isoformat()
            if wanted.shape.holds == "date":
                low, high = low[:10], high[:10]
        else:
            low, high = str(place * 10), str(place * 10 + 5)
        yield f'{before}["{low}","{high}"){after}'
    yield f"{before}{after}" if multi else "empty"
