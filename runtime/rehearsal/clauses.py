"""Small readings of conditions: what ties two tables, what a column is made of, what a query counts or adds up."""

from collections.abc import Mapping, Sequence

from sqlglot import exp

from runtime.rehearsal.conditions import Environment, From
from runtime.rehearsal.row import Predicate
from runtime.rehearsal.sought import Tie
from runtime.spec.render import quoted
from runtime.spec.schema import Table
from runtime.spec.vocabulary import words

_ADDING = words("sum max min avg")
_AGGREGATES = _ADDING | words("count array_agg string_agg bool_and bool_or every json_agg jsonb_agg jsonb_object_agg")


def tie(condition: exp.Expr, predicate: Predicate, alias: str) -> Tie | None:
    """Return a condition as a tie, if it is an equality of one of the alias's columns with another row's."""
    if not isinstance(condition, exp.EQ):
        return None
    sides = [condition.this.unnest(), condition.expression.unnest()]
    sides.sort(key=lambda side: getattr(side, "table", "") != alias)
    own, other = sides
    if not (isinstance(own, exp.Column) and isinstance(other, exp.Column) and own.table == alias != other.table):
        return None
    return Tie(predicate, own.name, str(other.table), other.name)


def filled(alias: str, table: Table, later: Sequence[exp.Expr]) -> list[Predicate]:
    """Return that the columns by which later tables join are not NULL."""
    names = {
        column.name
        for condition in later
        if isinstance(condition, exp.EQ)
        for column in condition.find_all(exp.Column)
        if column.table == alias
    }
    return [Predicate(f"{quoted(c.name)} IS NOT NULL") for c in table.columns if c.nullable and c.name in names]


def _adds_up(node: exp.Expr) -> bool:
    """Return whether an expression is about more rows than one."""
    calls = {call.name for call in node.find_all(exp.Anonymous)}
    return bool(calls & _AGGREGATES) or node.find(exp.Query, exp.Window, exp.Count) is not None


def summed(select: exp.Select) -> exp.Expr:
    """Return what a query returns; of a sum or an extreme what goes into it, which is one way to reach it."""
    item = select.expressions[0].unalias()
    if isinstance(item, exp.Anonymous) and item.name in _ADDING and item.expressions:
        item = item.expressions[0]
    copy: exp.Expr = item.copy()
    return copy


def mentions(query: exp.Expr, alias: str) -> bool:
    """Return whether a query names columns of an alias outside it."""
    return any(column.table == alias for column in query.find_all(exp.Column))


def counts(select: exp.Select) -> bool:
    """Return whether a query returns how many rows there are."""
    item = select.expressions[0].unalias() if len(select.expressions) == 1 else None
    return (isinstance(item, exp.Anonymous) and item.name == "count") or isinstance(item, exp.Count)


def pushed(condition: exp.Expr, source: From, outputs: Mapping[str, exp.Expr], known: Environment) -> exp.Expr | None:
    """Return a condition on a query's columns as one on what they are made of; None where that is more than a row."""
    copy = exp.Paren(this=condition.copy())
    for column in list(copy.find_all(exp.Column)):
        if column.table != source.alias and not (not column.table and column.name in outputs):
            if column.table in known:
                continue
            return None
        output = outputs.get(column.name)
        if output is None or _adds_up(output):
            return None
        column.replace(exp.Paren(this=output.copy()))
    inside: exp.Expr = copy.this
    return inside
