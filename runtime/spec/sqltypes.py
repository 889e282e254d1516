"""As much of the types of expressions as the rules need: an empty name means that it is not known here."""

import re
from collections.abc import Mapping

from sqlglot import exp
from sqlglot.expressions import DType

from runtime.spec.schema import Column
from runtime.spec.scope import Field
from runtime.spec.vocabulary import words

TIMESTAMPTZ = "timestamp with time zone"
TIMESTAMP = "timestamp without time zone"
TEXTS = frozenset({"text", "character varying", "character", "citext", "name"})
NUMBERS = frozenset({"smallint", "integer", "bigint", "numeric", "real", "double precision"})
TIMES = frozenset({"date", TIMESTAMPTZ, TIMESTAMP, "time without time zone", "time with time zone"})
_TARGETS = {
    DType.DATE: "date",
    DType.TIMESTAMP: TIMESTAMP,
    DType.TIMESTAMPTZ: TIMESTAMPTZ,
    DType.TIME: "time without time zone",
    DType.TIMETZ: "time with time zone",
    DType.INTERVAL: "interval",
    DType.TEXT: "text",
    DType.VARCHAR: "character varying",
    DType.CHAR: "character",
    DType.BPCHAR: "character",
    DType.NAME: "name",
    DType.BOOLEAN: "boolean",
    DType.INT: "integer",
    DType.BIGINT: "bigint",
    DType.SMALLINT: "smallint",
    DType.DECIMAL: "numeric",
    DType.FLOAT: "real",
    DType.DOUBLE: "double precision",
    DType.JSON: "json",
    DType.JSONB: "jsonb",
    DType.UUID: "uuid",
}
_TEXT_NODES = (
    exp.JSONExtractScalar,
    exp.JSONBExtractScalar,
    exp.DPipe,
    exp.Substring,
    exp.Trim,
    exp.Overlay,
)
_TEXT_FUNCTIONS = words("lower upper btrim ltrim rtrim split_part substr replace left right concat to_char")


def base_type(column: Column) -> str:
    """Return the built-in type under a column, without its length; `text` for an enum."""
    return re.sub(r"\([^)]*\)", "", column.base or column.type).strip()


def cast_type(cast: exp.Cast) -> str:
    """Return what a cast casts to."""
    return _TARGETS.get(cast.to.this, "") if isinstance(cast.to, exp.DataType) else ""


def type_of(node: exp.Expr, fields: Mapping[int, Field]) -> str:  # noqa: PLR0911  # one line per kind
    """Return the built-in type of an expression, `unknown` for a text literal, or nothing when it is not known."""
    match node:
        case exp.Paren():
            return type_of(node.this, fields)
        case exp.Column():
            field = fields.get(id(node))
            return base_type(field.column) if field and field.column else ""
        case exp.Placeholder():
            return TIMESTAMPTZ
        case exp.Cast():
            return cast_type(node)
        case exp.Literal():
            return "unknown" if node.is_string else "numeric"
        case exp.Interval():
            return "interval"
        case exp.AtTimeZone():
            return {TIMESTAMPTZ: TIMESTAMP, TIMESTAMP: TIMESTAMPTZ}.get(type_of(node.this, fields), "")
        case exp.Add() | exp.Sub():
            return _sum(type_of(node.this, fields), type_of(node.expression, fields))
        case exp.Anonymous():
            return "text" if node.name in _TEXT_FUNCTIONS else ""
        case _:
            return "text" if isinstance(node, _TEXT_NODES) else ""


def _sum(left: str, right: str) -> str:
    if left in {TIMESTAMPTZ, TIMESTAMP} and right == "interval":
        return left
    return left if left == right and left in NUMBERS else ""
