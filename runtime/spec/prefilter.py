"""A weaker condition that is safe inside a hook: never false where the exact one is true.

Only comparisons, IS, IN, AND, OR and NOT over plain columns of built-in types and literals stay; every other part
becomes true, under NOT with the opposite polarity. Nothing in it can raise, read a session's settings or meet a foreign
operator.
"""

import re
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal, InvalidOperation

from sqlglot import exp

from runtime.spec.schema import Column
from runtime.spec.sqltypes import NUMBERS, TEXTS, TIMESTAMP, TIMESTAMPTZ, base_type, cast_type

Where = Callable[[exp.Column], tuple[str, Column] | None]
"""A column reference → the hook's alias (n or o) and the column; None when the row does not exist in that operation."""

TRUE = "true"
_OWN_EQUALITY = NUMBERS | {"boolean", "date", TIMESTAMP, TIMESTAMPTZ, "uuid", "jsonb", "bytea", "interval", "inet"}
_TEXTS = TEXTS - {"citext"}
_UUID = re.compile(r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$")
_INSTANT = re.compile(r"^\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)?$")
_COMPARISONS = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.NullSafeEQ, exp.NullSafeNEQ)


def weakened(node: exp.Expr, where: Where) -> str:
    """Return SQL that is true whenever the condition is true."""
    return _Weakener(where).when_true(node)


def not_true(node: exp.Expr, where: Where) -> str:
    """Return SQL that is true whenever the condition is not true (false or NULL)."""
    exact = _Weakener(where).exact(node)
    return TRUE if exact is None else f"({exact}) IS NOT TRUE"


def both(*parts: str) -> str:
    """Join conditions by AND, leaving out those that say nothing."""
    telling = [part for part in parts if part != TRUE]
    return " AND ".join(f"({part})" if len(telling) > 1 else part for part in telling) or TRUE


def either(*parts: str) -> str:
    """Join conditions by OR; one that says nothing silences all."""
    return TRUE if TRUE in parts or not parts else " OR ".join(f"({part})" for part in parts)


def distinct(column: Column) -> str:
    """Return SQL for "an update made this column distinct", or true where the type has no equality of its own."""
    kind = base_type(column)
    if not (kind in _OWN_EQUALITY | _TEXTS or column.labels):
        return TRUE
    name = exp.to_identifier(column.name, quoted=True).sql("postgres")
    return f"n.{name} IS DISTINCT FROM o.{name}"


class _Weakener:
    def __init__(self, where: Where) -> None:
        self._where = where

    def when_true(self, node: exp.Expr) -> str:
        """Return what holds whenever the node is true."""
        match node:
            case exp.Paren():
                return self.when_true(node.this)
            case exp.And():
                return both(self.when_true(node.this), self.when_true(node.expression))
            case exp.Or():
                return either(self.when_true(node.this), self.when_true(node.expression))
            case exp.Not():
                return self.when_false(node.this)
            case exp.Between() if not node.args.get("symmetric"):
                return self.when_true(_between(node))
            case _:
                return self._atom(node) or TRUE

    def when_false(self, node: exp.Expr) -> str:
        """Return what holds whenever the node is false."""
        match node:
            case exp.Paren():
                return self.when_false(node.this)
            case exp.And():
                return either(self.when_false(node.this), self.when_false(node.expression))
            case exp.Or():
                return both(self.when_false(node.this), self.when_false(node.expression))
            case exp.Not():
                return self.when_true(node.this)
            case exp.Between() if not node.args.get("symmetric"):
                return self.when_false(_between(node))
            case _:
                atom = self._atom(node)
                return f"NOT ({atom})" if atom else TRUE

    def exact(self, node: exp.Expr) -> str | None:
        """Return the node itself, when every part of it is safe."""
        match node:
            case exp.Paren():
                return self.exact(node.this)
            case exp.And() | exp.Or():
                left, right = self.exact(node.this), self.exact(node.expression)
                word = "AND" if isinstance(node, exp.And) else "OR"
                return None if left is None or right is None else f"({left}) {word} ({right})"
            case exp.Not():
                inner = self.exact(node.this)
                return None if inner is None else f"NOT ({inner})"
            case exp.Between() if not node.args.get("symmetric"):
                return self.exact(_between(node))
            case _:
                return self._atom(node)

    def _atom(self, node: exp.Expr) -> str | None:
        """Return a safe comparison or test as SQL over n and o; None when it is not safe."""
        match node:
            case exp.Boolean():
                return "true" if node.this else "false"
            case exp.Column():
                found = self._where(node)
                return _written(found) if found and base_type(found[1]) == "boolean" else None
            case exp.Is():
                return self._test(node)
            case exp.In() if node.expressions and not node.args.get("query"):
                values = [self._operands(node.this, value) for value in node.expressions]
                texts = [value[1] for value in values if value is not None]
                return f"{values[0][0]} IN ({', '.join(texts)})" if values[0] and None not in values else None
            case _ if isinstance(node, _COMPARISONS):
                operands = self._operands(node.this, node.expression) or self._flipped(node)
                return f"{operands[0]} {_operator(node)} {operands[1]}" if operands else None
            case _:
                return None

    def _test(self, node: exp.Is) -> str | None:
        found = self._where(node.this) if isinstance(node.this, exp.Column) else None
        if found is None:
            return None
        if not isinstance(node.expression, exp.Null) and base_type(found[1]) != "boolean":
            return None
        word = node.expression.sql("postgres")
        return f"{_written(found)} IS {'NOT ' if node.args.get('negate') else ''}{word}"

    def _operands(self, left: exp.Expr, right: exp.Expr) -> tuple[str, str] | None:
        """Return both sides as SQL: a column and a literal, or two columns that compare without surprise."""
        found = self._where(left) if isinstance(left, exp.Column) else None
        if found is None:
            return None
        if isinstance(right, exp.Column):
            other = self._where(right)
            return (_written(found), _written(other)) if other and _comparable(found[1], other[1]) else None
        value = _literal(right, found[1])
        return None if value is None else (_written(found), value)

    def _flipped(self, node: exp.Expr) -> tuple[str, str] | None:
        operands = self._operands(node.expression, node.this)
        return (operands[1], operands[0]) if operands else None


def _between(node: exp.Between) -> exp.Expr:
    low = exp.GTE(this=node.this.copy(), expression=node.args["low"].copy())
    high = exp.LTE(this=node.this.copy(), expression=node.args["high"].copy())
    return exp.And(this=low, expression=high)


def _written(found: tuple[str, Column]) -> str:
    return f"{found[0]}.{exp.to_identifier(found[1].name, quoted=True).sql('postgres')}"


def _operator(node: exp.Expr) -> str:
    words: dict[type[exp.Expr], str] = {
        exp.EQ: "=",
        exp.NEQ: "<>",
        exp.GT: ">",
        exp.GTE: ">=",
        exp.LT: "<",
        exp.LTE: "<=",
        exp.NullSafeEQ: "IS NOT DISTINCT FROM",
        exp.NullSafeNEQ: "IS DISTINCT FROM",
    }
    return words[type(node)]


def _comparable(left: Column, right: Column) -> bool:
    """Two texts may have different collations, which raises: only a column with itself is safe there."""
    a, b = base_type(left), base_type(right)
    if left.labels or right.labels:
        return left.type == right.type
    if a in NUMBERS and b in NUMBERS:
        return True
    if a in _TEXTS:
        return left.name == right.name
    return a == b and a in _OWN_EQUALITY


def _literal(node: exp.Expr, column: Column) -> str | None:
    """Return a literal that the column's type reads the same in every session; None for any other."""
    kind, sign = base_type(column), ""
    if isinstance(node, exp.Cast) and (cast_type(node) in _TEXTS and kind in _TEXTS and not column.labels):
        node = node.this
    if isinstance(node, exp.Null):
        return "NULL"
    if isinstance(node, exp.Neg):
        node, sign = node.this, "-"
    if isinstance(node, exp.Boolean):
        return node.sql("postgres") if kind == "boolean" and not sign else None
    if not isinstance(node, exp.Literal):
        return None
    text = str(node.this)
    if kind in NUMBERS and not column.labels:
        return f"{sign}{text}" if _is_number(text) else None
    return node.sql("postgres") if node.is_string and not sign and _is_fixed(text, kind, column) else None


def _is_number(text: str) -> bool:
    try:
        return Decimal(text).is_finite() and "_" not in text
    except InvalidOperation:
        return False


def _is_fixed(text: str, kind: str, column: Column) -> bool:  # noqa: PLR0911  # one line per kind
    """Return whether a text means one value of the type, whatever the session's zone and date style."""
    if column.labels:
        return text in column.labels
    if kind in _TEXTS:
        return True
    if kind == "uuid":
        return bool(_UUID.match(text))
    try:
        if kind == "date":
            return date.fromisoformat(text).isoformat() == text
        if kind in {TIMESTAMP, TIMESTAMPTZ} and _INSTANT.match(text):
            return (datetime.fromisoformat(text).tzinfo is not None) == (kind == TIMESTAMPTZ)
    except ValueError:
        return False
    return False
