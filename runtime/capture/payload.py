"""What a hook writes of a row: JSON whose values can't depend on the session or run code that is not Postgres' own."""

from collections.abc import Sequence

from psycopg import sql

from runtime.spec.schema import Column
from runtime.spec.sqltypes import NUMBERS, TIMESTAMP, TIMESTAMPTZ, base_type

_PAIRS = 50
"""A function takes 100 arguments at most."""
_STEADY = (NUMBERS - {"real", "double precision"}) | {
    *("text", "character varying", "character", "name", "boolean", "uuid", "json", "jsonb"),
    *("date", TIMESTAMP, TIMESTAMPTZ, "time without time zone", "bytea", "inet", "cidr"),
}
"""Base types whose JSON is the same in every session."""
_STYLES = ("DateStyle = 'ISO, YMD'", "IntervalStyle = 'postgres'", "extra_float_digits = 1")


def json_object(columns: Sequence[Column], row: str) -> sql.Composed:
    """Return SQL for a jsonb object of the columns of a row's alias; NULL when there are none."""
    chunks = [columns[start : start + _PAIRS] for start in range(0, len(columns), _PAIRS)]
    objects = [sql.SQL("jsonb_build_object({})").format(_pairs(chunk, row)) for chunk in chunks]
    return sql.SQL(" || ").join(objects) if objects else sql.Composed([sql.SQL("NULL")])


def session_settings(columns: Sequence[Column]) -> tuple[str, ...]:
    """Return the settings that a function must pin for these columns to be written the same in every session."""
    return () if all(base_type(column) in _STEADY and not _foreign(column) for column in columns) else _STYLES


def _pairs(columns: Sequence[Column], row: str) -> sql.Composed:
    pairs = ((sql.Literal(column.name), _value(column, sql.Identifier(row, column.name))) for column in columns)
    return sql.SQL(", ").join(part for pair in pairs for part in pair)


def _value(column: Column, name: sql.Identifier) -> sql.Composable:
    """Return the value, as text where a cast to JSON that a user defined would run with the rights of the hook."""
    if not _foreign(column) or base_type(column) not in {"", "text", "text[]", column.type}:
        return name
    text = sql.SQL("format('%s', {})").format(name)
    if base_type(column) == "text[]":
        text = sql.SQL("to_jsonb(CAST({} AS text[]))").format(text)
    return sql.SQL("CASE WHEN {} IS DISTINCT FROM NULL THEN {} END").format(name, text)


def _foreign(column: Column) -> bool:
    """Return whether the type is not built in; such types are written with their schema."""
    return "." in column.type
