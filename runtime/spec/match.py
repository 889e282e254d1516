"""How captured changes of a table start runs: an exact condition for the claim, a safe prefilter for the hook."""

from collections.abc import Mapping

from sqlglot import exp

from runtime.spec.compiled import Clause, Match
from runtime.spec.fragment import Fragment
from runtime.spec.model import ChangeTrigger, Operation
from runtime.spec.prefilter import TRUE, Where, both, distinct, either, not_true, weakened
from runtime.spec.render import quoted, render_row
from runtime.spec.schema import Column, Table
from runtime.spec.sqltypes import base_type
from runtime.spec.survey import operations

_OP = '"event"."op"'
"""insert, update or delete; qualified, because a table may have a column of that name."""
_NO_EQUALITY = frozenset({"json", "xml", "point", "line", "lseg", "box", "path", "polygon", "circle"})


def build_match(
    trigger: ChangeTrigger, table: Table, fragments: Mapping[str, Fragment], hook_columns: tuple[str, ...]
) -> Match:
    """Return how changes of the table match a trigger that was found right."""
    becomes, when = fragments.get("/trigger/becomes"), fragments.get("/trigger/when")
    ops = operations(trigger)
    columns = [column for column in table.columns if column.name in trigger.columns]
    clauses = _clauses(ops, becomes, when, columns)
    return Match(
        relation=table.relation,
        hook_columns=hook_columns,
        key=table.primary_key,
        ops=tuple(op.value for op in ops),
        prefilter={op.value: _prefilter(op, becomes, when, columns, table) for op in ops},
        condition=_condition(clauses),
        clauses=tuple(Clause(name=name, sql=sql) for name, sql in clauses.items()),
    )


def _clauses(
    ops: tuple[Operation, ...], becomes: Fragment | None, when: Fragment | None, columns: list[Column]
) -> dict[str, str]:
    clauses = {"op": f"{_OP} IN ({', '.join(repr(op.value) for op in ops)})"}
    if becomes:
        now, before = _over(becomes.tree, "new"), _over(becomes.tree, "old")
        clauses |= {"becomes": f"({now}) IS TRUE", "before": f"({_OP} = 'insert' OR ({before}) IS NOT TRUE)"}
    if columns:
        changed = " OR ".join(_changed(column) for column in columns)
        clauses["columns"] = f"({_OP} <> 'update' OR {changed})"
    if when:
        clauses["when"] = f"(({render_row(when.tree, _whole_rows)}) IS TRUE)"
    return clauses


def _condition(clauses: Mapping[str, str]) -> str:
    """Join the clauses; an edge is one thing, so its two stand in parentheses."""
    parts = dict(clauses)
    if "becomes" in parts:
        parts["becomes"] = f"({parts['becomes']} AND {parts.pop('before')})"
    return " AND ".join(parts.values())


def _over(tree: exp.Expr, row: str) -> str:
    """Return the condition with its bare columns read from `new` or `old`."""

    def read(node: exp.Expr) -> exp.Expr:
        if isinstance(node, exp.Column) and not node.table:
            node.set("table", exp.Identifier(this=row, quoted=True))
        return node

    return render_row(tree, read)


def _whole_rows(node: exp.Expr) -> exp.Expr:
    """Write a whole row as `new.*`, which can't be taken for a column called new of the query around it."""
    if isinstance(node, exp.Column) and not node.table and node.name in {"new", "old"}:
        return exp.Column(this=exp.Star(), table=exp.Identifier(this=node.name, quoted=True))
    return node


def _changed(column: Column) -> str:
    cast = "::text" if base_type(column) in _NO_EQUALITY else ""
    return f'"new".{quoted(column.name)}{cast} IS DISTINCT FROM "old".{quoted(column.name)}{cast}'


def _prefilter(
    op: Operation, becomes: Fragment | None, when: Fragment | None, columns: list[Column], table: Table
) -> str:
    rows = {"new": "n"} if op != Operation.DELETE else {}
    rows |= {"old": "o"} if op != Operation.INSERT else {}

    def bare(alias: str) -> Where:
        return lambda node: _found(alias, node.name, table) if not node.table else None

    def prefixed(node: exp.Column) -> tuple[str, Column] | None:
        return _found(rows[node.table], node.name, table) if node.table in rows else None

    parts = []
    if becomes:
        parts.append(weakened(becomes.tree, bare("n")))
        parts.append(not_true(becomes.tree, bare("o")) if op == Operation.UPDATE else TRUE)
    if columns and op == Operation.UPDATE:
        parts.append(either(*(distinct(column) for column in columns)))
    if when:
        parts.append(weakened(when.tree, prefixed))
    return both(*parts)


def _found(alias: str, name: str, table: Table) -> tuple[str, Column] | None:
    column = table.column(name)
    return (alias, column) if column else None
