"""Which values of one column a condition lets through, and whether the table's rules leave any of them.

Everything here errs on one side: a set may be too large, never too small. So "can never be true" is certain.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from sqlglot import exp

from runtime.spec.schema import Column
from runtime.spec.sqltypes import NUMBERS, TEXTS, base_type

_EXACT = NUMBERS - {"real", "double precision"}
Value = str | Decimal | bool
Span = tuple[Decimal | None, bool, Decimal | None, bool]
"""From (included?), to (included?); None is without end."""


@dataclass(frozen=True)
class Values:
    """A set of values of one column."""

    null: bool = False
    everything: bool = False
    """All values that are not NULL."""
    points: frozenset[Value] = frozenset()
    spans: tuple[Span, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Return whether nothing is left."""
        return not (self.null or self.everything or self.points or self.spans)

    def __and__(self, other: "Values") -> "Values":
        """Return what is in both."""
        null = self.null and other.null
        if self.everything:
            return Values(null, other.everything, other.points, other.spans)
        if other.everything:
            return Values(null, points=self.points, spans=self.spans)
        points = {p for p in self.points if other.holds(p)} | {p for p in other.points if self.holds(p)}
        spans = [shared for a in self.spans for b in other.spans if (shared := _shared(a, b)) is not None]
        return Values(null, points=frozenset(points), spans=tuple(spans))

    def __or__(self, other: "Values") -> "Values":
        """Return what is in either."""
        return Values(
            self.null or other.null,
            self.everything or other.everything,
            self.points | other.points,
            self.spans + other.spans,
        )

    def holds(self, value: Value) -> bool:
        """Return whether a value that is not NULL is in the set."""
        return self.everything or value in self.points or any(_within(value, span) for span in self.spans)


ALL = Values(null=True, everything=True)
NOT_NULL = Values(everything=True)
NULL = Values(null=True)


def allowed(column: Column, checks: Iterable[exp.Expr]) -> Values:
    """Return the values that a table's rules let a column have; an enum's labels are judged elsewhere."""
    values = NOT_NULL if not column.nullable else ALL
    reader = _Reader(column, "", passes_null=True)
    for check in checks:
        values &= reader.values(check)
    return values


def possible(condition: exp.Expr, column: Column, prefix: str = "") -> Values:
    """Return the values of a column with which a condition can be true; `prefix` is new or old, or empty."""
    return _Reader(column, prefix, passes_null=False).values(condition)


class _Reader:
    """Reads a condition for one column. A CHECK passes on NULL; a condition must be true."""

    def __init__(self, column: Column, prefix: str, *, passes_null: bool) -> None:
        self._column = column
        self._prefix = prefix
        self._on_null = NULL if passes_null else Values()

    def values(self, node: exp.Expr) -> Values:  # noqa: PLR0911  # one line per kind
        node = node.unnest()
        match node:
            case exp.And():
                return self.values(node.this) & self.values(node.expression)
            case exp.Or():
                return self.values(node.this) | self.values(node.expression)
            case exp.Boolean():
                return ALL if node.this else Values()
            case exp.Null():
                return ALL if self._on_null.null else Values()
            case exp.Is() if self._is_column(node.this):
                return self._test(node)
            case exp.Not() if self._is_column(node.this):
                return self._on_null | Values(points=frozenset({False}))
            case exp.Column() if self._is_column(node) and base_type(self._column) == "boolean":
                return self._on_null | Values(points=frozenset({True}))
            case _:
                found = self._comparison(node)
                return ALL if found is None else found | self._on_null

    def _test(self, node: exp.Is) -> Values:
        right, negated = node.expression, bool(node.args.get("negate"))
        if isinstance(right, exp.Null):
            return NOT_NULL if negated else NULL
        if isinstance(right, exp.Boolean) and not negated:
            return Values(points=frozenset({bool(right.this)}))
        return ALL

    def _comparison(self, node: exp.Expr) -> Values | None:
        """Return the values of a comparison of the column with literals; None when it is something else."""
        match node:
            case exp.In() if self._is_column(node.this) and not node.args.get("query"):
                return self._points(node.expressions)
            case exp.EQ() if self._is_column(node.this) and isinstance(node.expression, exp.Any):
                array = _uncast(node.expression.this)
                return self._points(array.expressions) if isinstance(array, exp.Array) else None
            case exp.Between() if self._is_column(node.this):
                low, high = self._number(node.args["low"]), self._number(node.args["high"])
                return None if low is None or high is None else Values(spans=((low, True, high, True),))
            case exp.EQ() | exp.GT() | exp.GTE() | exp.LT() | exp.LTE():
                return self._against(node)
            case _:
                return None

    def _against(self, node: exp.Expr) -> Values | None:
        left, right, kind = node.this, node.expression, type(node)
        if self._is_column(right):
            flipped: dict[type[exp.Expr], type[exp.Expr]] = {
                exp.GT: exp.LT,
                exp.GTE: exp.LTE,
                exp.LT: exp.GT,
                exp.LTE: exp.GTE,
            }
            left, right, kind = right, left, flipped.get(kind, kind)
        if not self._is_column(left):
            return None
        if kind is exp.EQ:
            return self._points([right])
        number = self._number(right)
        if number is None:
            return None
        included = kind in {exp.GTE, exp.LTE}
        above = kind in {exp.GT, exp.GTE}
        return Values(spans=((number, included, None, False) if above else (None, False, number, included),))

    def _points(self, nodes: list[exp.Expr]) -> Values | None:
        values = [self._literal(node) for node in nodes]
        return None if None in values else Values(points=frozenset(value for value in values if value is not None))

    def _number(self, node: exp.Expr) -> Decimal | None:
        value = self._literal(node)
        return value if isinstance(value, Decimal) else None

    def _literal(self, node: exp.Expr) -> Value | None:
        """Return a literal as a value of the column, or None when it is none or the type is not one we compare."""
        kind = base_type(self._column)
        was_cast = node.find(exp.Cast) is not None
        node, sign = _uncast(node), 1
        if isinstance(node, exp.Neg):
            node, sign = _uncast(node.this), -1
        if isinstance(node, exp.Boolean) and kind == "boolean":
            return bool(node.this)
        if not isinstance(node, exp.Literal):
            return None
        if kind in _EXACT:
            number = _decimal(str(node.this))
            if number is None or (was_cast and number != number.to_integral_value()):
                return None  # a cast may have rounded it
            return sign * number
        return str(node.this).rstrip(" ") if kind in TEXTS - {"citext"} and node.is_string else None

    def _is_column(self, node: exp.Expr) -> bool:
        node = _uncast(node) if base_type(self._column) in TEXTS else node.unnest()
        return isinstance(node, exp.Column) and node.name == self._column.name and node.table == self._prefix


def _decimal(text: str) -> Decimal | None:
    try:
        return Decimal(text)
    except InvalidOperation:
        return None


def _uncast(node: exp.Expr) -> exp.Expr:
    """Take off parentheses and casts without a length, which `pg_get_constraintdef` writes around everything."""
    while isinstance(node, exp.Paren) or (isinstance(node, exp.Cast) and not node.to.find(exp.DataTypeParam)):
        node = node.this
    return node


def _within(value: Value, span: Span) -> bool:
    low, low_in, high, high_in = span
    if not isinstance(value, Decimal):
        return False
    return (low is None or value > low or (low_in and value == low)) and (
        high is None or value < high or (high_in and value == high)
    )


def _shared(a: Span, b: Span) -> Span | None:
    low, low_in = max(_ends(a[0], b[0], a[1], b[1]), key=lambda end: (end[0], not end[1]), default=(None, False))
    high, high_in = min(_ends(a[2], b[2], a[3], b[3]), key=lambda end: (end[0], end[1]), default=(None, False))
    if low is not None and high is not None and (low > high or (low == high and not (low_in and high_in))):
        return None
    return low, low_in, high, high_in


def _ends(a: Decimal | None, b: Decimal | None, a_in: bool, b_in: bool) -> Iterator[tuple[Decimal, bool]]:
    if a is not None:
        yield a, a_in
    if b is not None:
        yield b, b_in
