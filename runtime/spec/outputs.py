"""What a query returns: each column's name as Postgres gives it, whether it may be NULL, where it comes from."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from sqlglot import exp

from runtime.spec.expansions import CONTACT
from runtime.spec.scope import Field
from runtime.spec.vocabulary import words

UNNAMED = "?column?"
_NEVER_NULL = frozenset(
    {"count", "row_number", "rank", "dense_rank", "num_nulls", "num_nonnulls", "concat", "concat_ws"}
)
_STRICT = words("lower upper trim btrim ltrim rtrim length char_length initcap abs round ceil floor replace")
_BINARY = (exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod, exp.DPipe, exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE)


class Outputs:
    """Reads expressions in which every column, and every subquery, is already resolved."""

    def __init__(self, columns: Mapping[int, Field], subqueries: Mapping[int, Sequence[Field]]) -> None:
        self._columns = columns
        self._subqueries = subqueries

    def field(self, node: exp.Expr) -> Field:
        """Return the output column that an expression of a select list makes."""
        inner = _bare(node)
        column = self._columns[id(inner)].column if id(inner) in self._columns else None
        return Field(self.name(node), self.nullable(inner), column, self.origins(inner))

    def name(self, node: exp.Expr) -> str:  # noqa: PLR0911  # one line per kind
        """Return the name Postgres gives to it: the alias, else the column's, the function's or the construct's."""
        if node.args.get("alias") and isinstance(node, exp.Alias):
            return node.alias
        inner = _bare(node)
        match inner:
            case exp.Column() | exp.Dot():
                return inner.name or inner.expression.name
            case exp.Anonymous() | exp.StrPosition() | exp.Substring() | exp.Overlay() | exp.Extract():
                return inner.name if isinstance(inner, exp.Anonymous) else inner.key.replace("strposition", "position")
            case exp.Coalesce() | exp.Nullif() | exp.Greatest() | exp.Least() | exp.Case() | exp.Exists() | exp.Array():
                return inner.key
            case exp.Window() | exp.Filter() | exp.WithinGroup() | exp.Cast() | exp.Bracket() | exp.Collate():
                return self.name(inner.this)
            case exp.Subquery():
                fields = self._subqueries.get(id(inner), ())
                return fields[0].name if len(fields) == 1 else UNNAMED
            case _:
                return UNNAMED

    def origins(self, node: exp.Expr) -> frozenset[str] | None:  # noqa: PLR0911  # one line per kind
        """Return the columns and contacts a value can come from; None when it is not passed through unchanged."""
        node = _bare(node)
        match node:
            case exp.Column():
                return self._columns[id(node)].origins if id(node) in self._columns else None
            case exp.Null():
                return frozenset()
            case exp.Coalesce():
                return self._joined([node.this, *node.expressions])
            case exp.Case():
                return self._joined(
                    [branch.args["true"] for branch in node.args["ifs"]] + _present(node.args.get("default"))
                )
            case exp.Nullif():
                return self.origins(node.this)
            case exp.Trim() if not node.expression:
                return self.origins(node.this)
            case exp.Anonymous() if node.name in {"lower", "btrim"} and len(node.expressions) == 1:
                return self.origins(node.expressions[0])
            case exp.Literal() if node.meta.get(CONTACT):
                return frozenset({f"contact:{node.meta[CONTACT]}"})
            case exp.Subquery():
                fields = self._subqueries.get(id(node), ())
                return fields[0].origins if len(fields) == 1 else None
            case _:
                return None

    def _joined(self, nodes: Iterable[exp.Expr]) -> frozenset[str] | None:
        parts = [self.origins(node) for node in nodes]
        return None if None in parts else frozenset().union(*(part for part in parts if part is not None))

    def nullable(self, node: exp.Expr) -> bool:  # noqa: C901, PLR0911  # one line per kind
        """Return whether the value may be NULL; true in every case of doubt."""
        node = _bare(node)
        match node:
            case exp.Column():
                return self._columns[id(node)].nullable if id(node) in self._columns else True
            case exp.Literal() | exp.Boolean() | exp.Exists() | exp.Is() | exp.NullSafeEQ() | exp.NullSafeNEQ():
                return False
            case exp.Placeholder() | exp.Interval() | exp.Array():
                return False
            case exp.Coalesce():
                return all(self.nullable(part) for part in [node.this, *node.expressions])
            case exp.Case():
                branches = [branch.args["true"] for branch in node.args["ifs"]]
                default = node.args.get("default")
                return default is None or any(self.nullable(part) for part in [*branches, default])
            case exp.Window() | exp.Filter():
                return self.nullable(node.this)
            case exp.Anonymous() if node.name in _NEVER_NULL:
                return False
            case exp.Anonymous() if node.name in _STRICT:
                return any(self.nullable(part) for part in node.expressions)
            case exp.And() | exp.Or():
                return self.nullable(node.this) or self.nullable(node.expression)
            case exp.Not() | exp.Neg() | exp.Cast() | exp.Trim():
                return self.nullable(node.this)
            case _ if isinstance(node, _BINARY):
                return self.nullable(node.this) or self.nullable(node.expression)
            case _:
                return True


def combined(left: Sequence[Field], right: Sequence[Field]) -> list[Field]:
    """Return the columns of a UNION, INTERSECT or EXCEPT: names of the left, values of both."""
    pairs = zip(left, right, strict=False)
    return [
        replace(
            a,
            nullable=a.nullable or b.nullable,
            column=a.column if a.column == b.column else None,
            origins=None if a.origins is None or b.origins is None else a.origins | b.origins,
        )
        for a, b in pairs
    ]


def _bare(node: exp.Expr) -> exp.Expr:
    while isinstance(node, exp.Alias | exp.Paren):
        node = node.this
    return node


def _present(node: exp.Expr | None) -> list[exp.Expr]:
    return [] if node is None else [node]
