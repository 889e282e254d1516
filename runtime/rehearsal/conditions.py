"""SQL conditions taken apart: what they join and ask of which table, with what is known written in as values."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from sqlglot import exp

from runtime.rehearsal.clockwords import VIRTUAL_NOW
from runtime.rehearsal.row import Row
from runtime.spec.render import literal, quoted, render
from runtime.spec.resolve import QUERY
from runtime.spec.schema import Catalog, Table
from runtime.spec.sql import NotSql, parse_query


@dataclass(frozen=True)
class Bound:
    """A row that is known: of the language (`new`, `item`), or one that was found or made for an alias."""

    values: Mapping[str, str | None]
    types: Mapping[str, str]
    row: Row | None = None
    """The row of a table it is, where it is one."""


Environment = Mapping[str, Bound]
"""Alias → the row it stands for."""


@dataclass(frozen=True)
class From:
    """One thing in a FROM clause."""

    alias: str
    columns: frozenset[str]
    table: Table | None = None
    query: exp.Expr | None = None
    """A query of its own: derived, lateral, or a CTE."""
    optional: bool = False
    """An outer join: there need not be a row."""


@dataclass
class Parts:
    """What a SELECT reads and asks."""

    sources: list[From] = field(default_factory=list)
    conditions: list[exp.Expr] = field(default_factory=list)
    ctes: dict[str, exp.Expr] = field(default_factory=dict)
    views: Mapping[str, exp.Expr] = field(default_factory=dict)


class Unknown(Exception):  # noqa: N818  # control flow inside this package: a value that can't be told here
    """A condition names a row that is not known."""


def bound(row: Row) -> Bound:
    """Return a row of a table as a known one."""
    return Bound(row.values, {column.name: column.type for column in row.table.columns}, row)


def first_select(node: exp.Expr) -> exp.Select | None:
    """Return the SELECT of a query; of a UNION the first."""
    while isinstance(node, exp.SetOperation | exp.Subquery):
        node = node.this
    return node if isinstance(node, exp.Select) else None


def parsed_views(definitions: Mapping[str, str]) -> dict[str, exp.Expr]:
    """Return the views whose definition can be read here; the clock in them is the parameter again."""
    views: dict[str, exp.Expr] = {}
    for relation, definition in definitions.items():
        with suppress(NotSql):
            views[relation] = parse_query(definition.replace(VIRTUAL_NOW, ":now"), "")
    return views


def taken_apart(
    select: exp.Select, catalog: Catalog, ctes: Mapping[str, exp.Expr], views: Mapping[str, exp.Expr] | None = None
) -> Parts:
    """Return a SELECT's sources and everything that WHERE and ON ask; a view among `views` counts as its query."""
    parts = Parts(ctes=dict(ctes), views=views or {})
    clause = select.args.get("with_")
    for cte in clause.expressions if clause else ():
        parts.ctes[cte.alias] = cte.this
    if select.args.get("from_"):
        _add(select.args["from_"].this, parts, catalog)
    for join in select.args.get("joins") or []:
        _add_join(join, parts, catalog)
    if select.args.get("where"):
        parts.conditions += conjuncts(select.args["where"].this)
    return parts


def conjuncts(node: exp.Expr) -> list[exp.Expr]:
    """Return what AND joins, without parentheses around it."""
    node = node.unnest()
    if isinstance(node, exp.And):
        return [*conjuncts(node.this), *conjuncts(node.expression)]
    return [node]


def outer_names(node: exp.Expr, sources: Sequence[From]) -> frozenset[str]:
    """Return the aliases whose rows a condition needs, those inside its own subqueries left out."""
    return frozenset(_owner(column, sources) for column in node.find_all(exp.Column) if not _is_inner(column, node))


def written(node: exp.Expr, environment: Environment, *, now: str, own: str = "", sources: Sequence[From] = ()) -> str:
    """Return a condition as SQL in which known rows are values and the columns of `own` stand bare.

    Raises Unknown when it needs any other row.
    """
    copy = exp.Paren(this=node.copy())
    for found in list(copy.find_all(exp.Column, exp.Placeholder, exp.Table)):
        if isinstance(found, exp.Table):
            if QUERY in found.meta:
                raise Unknown(found.name)
        elif isinstance(found, exp.Placeholder):
            found.replace(exp.Var(this=f"CAST({literal(now)} AS timestamptz)"))
        elif isinstance(found, exp.Column) and not _is_inner(found, copy):
            found.replace(_replacement(found, environment, own, sources))
    return render(copy.this, {}).replace("%%", "%")


def _replacement(column: exp.Column, environment: Environment, own: str, sources: Sequence[From]) -> exp.Expr:
    owner = _owner(column, sources)
    if isinstance(column.this, exp.Star):
        raise Unknown(owner)
    if owner == own:
        return exp.Var(this=quoted(column.name))
    row = environment.get(owner) or next(
        (b for b in environment.values() if not owner and column.name in b.values), None
    )
    if row is None or column.name not in row.values:
        raise Unknown(f"{owner}.{column.name}")
    value = row.values[column.name]
    return exp.Var(this=f"CAST({'NULL' if value is None else literal(value)} AS {row.types[column.name]})")


def _owner(column: exp.Column, sources: Sequence[From]) -> str:
    """Return the alias a column belongs to; empty when it has no prefix and no source here has it."""
    if column.table:
        return str(column.table)
    return next((source.alias for source in sources if column.name in source.columns), "")


def _is_inner(column: exp.Expr, root: exp.Expr) -> bool:
    """Return whether a column belongs to a query inside `root`."""
    node = column.parent
    while node is not None and node is not root.parent:
        if isinstance(node, exp.Select) and _has(node, column):
            return True
        if node is root:
            return False
        node = node.parent
    return False


def _has(select: exp.Select, column: exp.Expr) -> bool:
    aliases = {source.alias_or_name for source in _from_nodes(select)}
    if isinstance(column, exp.Column) and column.table:
        return column.table in aliases
    return bool(aliases) and not isinstance(column.this, exp.Star)


def _from_nodes(select: exp.Select) -> Iterator[exp.Expr]:
    if select.args.get("from_"):
        yield select.args["from_"].this
    for join in select.args.get("joins") or []:
        yield join.this


def _add_join(join: exp.Join, parts: Parts, catalog: Catalog) -> None:
    before = list(parts.sources)
    _add(join.this, parts, catalog)
    if join.side in {"LEFT", "FULL"}:
        parts.sources[len(before) :] = [replace(source, optional=True) for source in parts.sources[len(before) :]]
    if join.args.get("on"):
        parts.conditions += conjuncts(join.args["on"])
    for using in join.args.get("using") or []:
        left = next((source.alias for source in before if using.name in source.columns), None)
        right = parts.sources[-1].alias
        if left:
            parts.conditions.append(exp.EQ(this=exp.column(using.name, left), expression=exp.column(using.name, right)))


def _add(node: exp.Expr, parts: Parts, catalog: Catalog) -> None:
    if isinstance(node, exp.Subquery) and not isinstance(node.this, exp.Select | exp.SetOperation):
        _add(node.this, parts, catalog)  # joins in parentheses
        inner = node.this.args.get("joins") if isinstance(node.this, exp.Table) else None
        for join in (*(inner or []), *(node.args.get("joins") or [])):
            _add_join(join, parts, catalog)
        return
    alias = node.alias_or_name
    if isinstance(node, exp.Lateral):
        query = node.this if isinstance(node.this, exp.Query) else None
        parts.sources.append(From(alias, _output_names(query), query=query))
    elif isinstance(node, exp.Query):
        parts.sources.append(From(alias, _output_names(node), query=node))
    elif isinstance(node, exp.Table) and not isinstance(node.this, exp.Func):
        parts.sources.append(_table(node, alias, parts, catalog))
    else:
        parts.sources.append(From(alias, frozenset()))


def _table(node: exp.Table, alias: str, parts: Parts, catalog: Catalog) -> From:
    if not node.db and node.name in parts.ctes:
        query = parts.ctes[node.name]
        return From(alias, _output_names(query), query=query)
    relation = f"{node.db}.{node.name}"
    if relation in parts.views:
        return From(alias, _output_names(parts.views[relation]), query=parts.views[relation])
    table = catalog.table(relation) if node.db and QUERY not in node.meta else None
    return From(alias, frozenset(column.name for column in table.columns) if table else frozenset(), table=table)


def _output_names(query: exp.Expr | None) -> frozenset[str]:
    select = first_select(query) if query is not None else None
    return frozenset(item.alias_or_name for item in select.expressions) if select else frozenset()
