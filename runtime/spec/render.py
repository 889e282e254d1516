"""From a checked tree to the SQL that runs: names quoted, tables and functions schema-qualified, `:now` a parameter."""

import re
from collections.abc import Callable, Mapping, Sequence

from sqlglot import exp

from runtime.spec.resolve import QUERY
from runtime.spec.schema import Column

_NOW = "\x00now\x00"
"""Stands for the parameter until `%` is doubled; a spec's texts can't hold it."""
_UNQUALIFIED = frozenset({"row", "any", "some", "all"})


def quoted(name: str) -> str:
    """Return an identifier as Postgres reads it literally."""
    return '"' + name.replace('"', '""') + '"'


def qualified(relation: str) -> str:
    """Return schema.table, both quoted."""
    schema, _, name = relation.partition(".")
    return f"{quoted(schema)}.{quoted(name)}"


def literal(text: str) -> str:
    """Return a text literal."""
    return "'" + text.replace("'", "''") + "'"


def column_definitions(columns: Sequence[Column]) -> str:
    """Return `"name" type, …`, as functions that return records want it."""
    return ", ".join(f"{quoted(column.name)} {column.type}" for column in columns)


def render(tree: exp.Expr, queries: Mapping[str, Sequence[Column]]) -> str:
    """Return a fragment's SQL for the batch form, `%` doubled; what earlier queries returned is read from the run."""

    def change(node: exp.Expr) -> exp.Expr:
        if isinstance(node, exp.Placeholder):
            return exp.Var(this=_NOW)
        if isinstance(node, exp.Table) and QUERY in node.meta:
            return _earlier_rows(node, queries[node.meta[QUERY]])
        return _qualify(node)

    text = _written(tree, change)
    return text.replace("%", "%%").replace(_NOW, "CAST(%(now)s AS timestamptz)")


def render_row(tree: exp.Expr, change: Callable[[exp.Expr], exp.Expr]) -> str:
    """Return a row condition's SQL, free of `%`, so that it may stand in a query with or without parameters."""

    def without_percent(node: exp.Expr) -> exp.Expr:
        if isinstance(node, exp.Mod):
            return exp.Anonymous(this="pg_catalog.mod", expressions=[node.this, node.expression])
        is_text = isinstance(node, exp.ByteString) or (isinstance(node, exp.Literal) and node.is_string)
        if is_text and "%" in node.this:
            escaped = str(node.this).replace("\\", "\\\\").replace("'", "''").replace("%", "\\0025")
            return exp.Var(this=f"U&'{escaped}'")
        return _qualify(change(node))

    return _written(tree, without_percent)


def _written(tree: exp.Expr, change: Callable[[exp.Expr], exp.Expr]) -> str:
    """Change a copy of the tree, inner nodes first, and write it."""
    root = exp.Paren(this=tree.copy())
    for node in reversed(list(root.this.walk(bfs=False))):
        changed = change(node)
        if changed is not node:
            node.replace(changed)
    text: str = root.this.sql("postgres", identify=True, normalize_functions=False, comments=False)
    return text


def _qualify(node: exp.Expr) -> exp.Expr:
    if isinstance(node, exp.Anonymous) and not re.search(r"[.]", node.name) and node.name not in _UNQUALIFIED:
        node.set("this", f"pg_catalog.{node.name}")
    elif isinstance(node, exp.Pow):
        return exp.Anonymous(this="pg_catalog.power", expressions=[node.this, node.expression])
    return node


def _earlier_rows(node: exp.Table, columns: Sequence[Column]) -> exp.Expr:
    """Return a table that reads what an earlier query returned for this run."""
    name = node.meta[QUERY]
    rows = f'pg_catalog.jsonb_to_recordset("run"."context_data" -> {literal(name)})'
    alias = node.args.get("alias") or exp.TableAlias(this=exp.Identifier(this=name, quoted=True))
    body = exp.Var(this=f'SELECT * FROM {rows} AS "rows"({column_definitions(columns)})')
    return exp.Subquery(this=body, alias=alias)
