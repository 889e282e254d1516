"""What the values of a table look like without showing one: how often NULL, how long, of which pattern, which keys."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from psycopg import Error, sql

from runtime.setup import likely
from runtime.source.reader import Source
from runtime.source.values import plain_cursor
from runtime.spec.schema import Column, Table
from tools.masking import personal_columns

SAMPLE_ROWS = 200
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,39}")
_MOST_WORDS = 12
_MOST_KEYS = 15
_LONGEST_PATTERN = 24
_SKIPPED = ("bytea", "tsvector", "oid")


def shapes(source: Source, table: Table) -> dict[str, str]:
    """Return column → what its values look like, from at most 200 rows; {} when the table can't be read quickly.

    Columns that look secret are not read at all. Only states (`status`, `phase` …) show values, and only plain words.
    """
    names = _readable(table)
    if not names:
        return {}
    try:
        rows = _sample(source, table, names)
    except Error:
        return {}
    states = {event.column for event in likely.events(table) if not event.labels}
    described = {
        name: _shape(table.column(name), [row[name] for row in rows], is_state=name in states) for name in names
    }
    counted = f"{len(rows)} row(s)" if len(rows) < SAMPLE_ROWS else f"the first {SAMPLE_ROWS} rows"
    return {"looked at": counted, **{name: said for name, said in described.items() if said}}


def _readable(table: Table) -> list[str]:
    secret = set(likely.secret_columns(table))
    return [c.name for c in table.columns if c.name not in secret and not c.type.startswith(_SKIPPED)]


def _sample(source: Source, table: Table, names: list[str]) -> list[dict[str, Any]]:
    """Read some rows as the reader role, whichever come first: nobody waits for a sort or a scan."""
    columns = sql.SQL(", ").join(map(sql.Identifier, names))
    question = sql.SQL("SELECT {} FROM {} LIMIT {}").format(
        columns, sql.Identifier(table.schema_name, table.name), SAMPLE_ROWS
    )
    with source.read() as conn, plain_cursor(conn) as cursor:
        cursor.execute(question)
        return [dict(zip(names, row, strict=True)) for row in cursor]


def _shape(column: Column | None, values: list[Any], *, is_state: bool) -> str:
    if column is None or not values:
        return ""
    present = [value for value in values if value is not None]
    empty = len(values) - len(present)
    if not present:
        return "always NULL"
    parts = [f"NULL in {empty} of {len(values)}"] if empty else []
    if all(isinstance(value, str) for value in present) and not column.labels:
        parts.append(_texts(column, present, is_state=is_state))
    elif all(isinstance(value, Mapping) for value in present):
        parts.append(f"keys: {_keys(present)}")
    return "; ".join(part for part in parts if part)


def _texts(column: Column, values: list[str], *, is_state: bool) -> str:
    lengths = sorted(map(len, values))
    size = f"{lengths[0]}" if lengths[0] == lengths[-1] else f"{lengths[0]}-{lengths[-1]}"
    said = f"{size} characters"
    if is_state and (words := _words(values)):
        return f"{said}; seen: {words}"
    if column.name in personal_columns([column.name]):
        return said
    patterns = {_pattern(value) for value in values}
    return f"{said}; pattern {patterns.pop()}" if len(patterns) == 1 and lengths[-1] <= _LONGEST_PATTERN else said


def _words(values: Iterable[str]) -> str:
    """Return the values of a state, if there are few and all of them are plain words."""
    counted = Counter(values)
    plain = len(counted) <= _MOST_WORDS and all(_WORD.fullmatch(value) for value in counted)
    return ", ".join(value for value, _ in counted.most_common()) if plain else ""


def _pattern(value: str) -> str:
    """Return a text's shape: A for capitals, a for other letters, 9 for digits."""
    return re.sub(r"\d", "9", re.sub(r"[^\W\d_]", lambda found: "A" if found[0].isupper() else "a", value))


def _keys(values: list[Mapping[str, Any]]) -> str:
    counted = Counter(key for value in values for key in value)
    shown = [f"{key} ({_kind(key, values)})" for key, _ in counted.most_common(_MOST_KEYS)]
    more = f" and {len(counted) - _MOST_KEYS} more" if len(counted) > _MOST_KEYS else ""
    return ", ".join(shown) + more


def _kind(key: str, values: list[Mapping[str, Any]]) -> str:
    names = {"str": "text", "bool": "boolean", "list": "array", "dict": "object", "NoneType": "null"}
    kinds = {type(value[key]).__name__ for value in values if key in value}
    return "/".join(sorted(names.get(kind, "number") for kind in kinds))
