"""Finds what every name in a query means: tables, columns, aliases, CTEs, earlier queries and rows of the language.

Names are found as Postgres finds them, from the innermost query outwards; all that stay unknown are told at once.
Table names in the tree become schema-qualified; a table that is an earlier query's result is marked for the batch form.
"""

from collections.abc import Iterator

from sqlglot import exp

from runtime.errors import Problem
from runtime.spec.lookup import Lookup
from runtime.spec.nearest import nearest
from runtime.spec.outputs import Outputs, combined
from runtime.spec.schema import Catalog
from runtime.spec.scope import RESERVED, Field, Frame, Relation, Surroundings, relation_of, table_relation
from runtime.spec.sources import function_relation, values_relation

QUERY = "query"
"""The key in a table's `meta` that says of which earlier query it is the result."""


class Resolver(Lookup):
    """One fragment's resolution. `columns` and `outputs` say, by id of the node, what was found."""

    def __init__(self, catalog: Catalog, around: Surroundings, path: str) -> None:
        super().__init__(around, path)
        self._catalog = catalog
        self.outputs: dict[int, list[Field]] = {}
        self.open_outputs: set[int] = set()
        """Queries that may return more columns than are known."""
        self.doubles: dict[int, list[str]] = {}
        """SELECTs → names that two of their columns share."""
        self.reader = Outputs(self.columns, self.outputs)

    def expression(self, node: exp.Expr, frame: Frame) -> None:
        """Resolve an expression and every query in it."""
        match node:
            case exp.Query():
                self.query(node, frame)
            case exp.Column():
                self.column(node, frame)
            case exp.Placeholder():
                self.uses.now = True
            case exp.Dot():
                self._member_of_row(node, frame)
            case exp.TableAlias() | exp.DataType():
                pass
            case _:
                for child in node.iter_expressions():
                    self.expression(child, frame)

    def _member_of_row(self, node: exp.Dot, frame: Frame) -> None:
        """Resolve `(row).column`. Of any other value `.name` could be a call of a function by that name."""
        if isinstance(node.expression, exp.Func):
            return  # a call into a schema, which check_functions tells
        row = node.this.unnest()
        if isinstance(row, exp.Column) and not row.table and isinstance(node.expression, exp.Identifier):
            self.member(row, node.expression.name, frame)
            return
        message = f"What {node.sql('postgres', identify=False)!r} means can't be told here."
        self.problem("not-allowed", message.replace('"', ""), "Name columns of tables, as alias.column.")

    def query(self, node: exp.Expr, frame: Frame) -> Relation:
        """Resolve a query inside `frame` and return what it offers."""
        frame = self._with_ctes(node, frame)
        match node:
            case exp.Subquery():
                relation = self.query(node.this, frame)
                self._rest(node, frame, relation)
            case exp.SetOperation():
                left, right = self.query(node.this, frame), self.query(node.expression, frame)
                fields = combined(list(left.fields.values()), list(right.fields.values()))
                relation = relation_of(fields, is_open=left.is_open or right.is_open)
                self._rest(node, frame, relation)
            case exp.Select():
                relation = self._select(node, frame)
            case _:
                relation = Relation({}, is_open=True)
        self.outputs[id(node)] = list(relation.fields.values())
        if relation.is_open:
            self.open_outputs.add(id(node))
        return relation

    def _rest(self, node: exp.Expr, frame: Frame, relation: Relation) -> None:
        """Resolve ORDER BY and LIMIT of a UNION or a query in parentheses: they see the output columns."""
        inner = Frame(frame, {"": relation})
        for part in ("order", "limit", "offset"):
            if node.args.get(part):
                self.expression(node.args[part], inner)

    def _with_ctes(self, node: exp.Expr, frame: Frame) -> Frame:
        clause = node.args.get("with_")
        if not clause:
            return frame
        inner = Frame(frame)
        for cte in clause.expressions:
            self._check_alias(cte.alias)
            columns = cte.args["alias"].columns if cte.args.get("alias") else []
            names = [column.name for column in columns]
            if clause.args.get("recursive") and isinstance(cte.this, exp.SetOperation):
                inner.ctes[cte.alias] = self._recursive(cte, inner, names)
            else:
                inner.ctes[cte.alias] = self.query(cte.this, inner).renamed(names)
        return inner

    def _recursive(self, cte: exp.Expr, frame: Frame, names: list[str]) -> Relation:
        """Resolve a recursive CTE; values that go round have no lineage."""
        base = self.query(cte.this.this, frame).renamed(names)
        unknown = Relation({name: Field(name) for name in base.fields}, base.is_open)
        self.query(cte.this.expression, Frame(frame, ctes={cte.alias: unknown}))
        return unknown

    def _select(self, node: exp.Select, frame: Frame) -> Relation:
        inner = Frame(frame)
        sources = [node.args["from_"].this] if node.args.get("from_") else []
        for source in sources:
            self._source(source, inner)
        self._joins(node.args.get("joins") or [], inner)
        for part in ("where", "having", "limit", "offset"):
            if node.args.get(part):
                self.expression(node.args[part], inner)
        for window in node.args.get("windows") or []:
            self.expression(window, inner)
        fields, is_open = self._select_list(node, inner)
        relation = relation_of(fields, is_open=is_open)
        for part in ("group", "order", "distinct"):
            if node.args.get(part):
                self.by_output(node.args[part], inner, relation)
        return relation

    def by_output(self, node: exp.Expr, frame: Frame, relation: Relation) -> None:
        """Resolve a part in which a bare name may also be an output column: GROUP BY, ORDER BY, DISTINCT ON."""
        for child in node.iter_expressions():
            if isinstance(child, exp.Column) and not child.table and child.name in relation.fields:
                if not self.found_in(child, frame):
                    self.columns[id(child)] = relation.fields[child.name]
                    continue
                self.column(child, frame)
            elif isinstance(child, exp.Ordered | exp.Tuple | exp.Paren | exp.GroupingSets | exp.Rollup | exp.Cube):
                self.by_output(child, frame, relation)
            else:
                self.expression(child, frame)

    def _select_list(self, node: exp.Select, frame: Frame) -> tuple[list[Field], bool]:
        fields: list[Field] = []
        is_open = False
        for item in node.expressions:
            if isinstance(item, exp.Star):
                relations = list(frame.relations.values())
                fields += self.starred(relations, frame.merged)
                is_open |= any(relation.is_open for relation in relations)
            elif isinstance(item, exp.Column) and isinstance(item.this, exp.Star):
                relation = self.qualifier(item, frame)
                fields += self.starred([relation], set()) if relation else []
                is_open |= relation is None or relation.is_open
            else:
                self.expression(item, frame)
                fields.append(self.reader.field(item))
        names = [f.name for f in fields]
        self.doubles[id(node)] = sorted({name for name in names if names.count(name) > 1})
        return fields, is_open

    def _joins(self, joins: list[exp.Join], frame: Frame) -> None:
        for join in joins:
            before = set(frame.relations)
            self._source(join.this, frame)
            added = set(frame.relations) - before
            using = {column.name for column in join.args.get("using") or []}
            if join.method == "NATURAL":
                using = _names(frame, before) & _names(frame, added)
            frame.merged |= using
            optional = added if join.side in {"LEFT", "FULL"} else set()
            optional |= before if join.side in {"RIGHT", "FULL"} else set()
            for name in optional:
                frame.relations[name] = frame.relations[name].outer()
            if join.args.get("on"):
                self.expression(join.args["on"], frame)

    def _source(self, node: exp.Expr, frame: Frame) -> None:
        """Add what stands in FROM to the frame. Functions and LATERAL see what stands before them."""
        if isinstance(node, exp.Subquery) and isinstance(node.this, exp.Table):
            self._source(node.this, frame)
            self._joins(node.this.args.get("joins") or [], frame)
            return
        alias = node.alias or (node.name if isinstance(node, exp.Table) else "")
        if isinstance(node, exp.Lateral):
            relation = self._derived(node.this, frame, alias, ordinality=bool(node.args.get("ordinality")))
        elif isinstance(node, exp.Query):
            relation = self.query(node, frame.parent or Frame())
        else:
            relation = self._derived(node, frame, alias, ordinality=bool(node.args.get("ordinality")))
        if node.alias or relation.table:
            self._check_alias(alias)
        columns = _column_aliases(node)
        if columns:
            self.all_of(relation)
            relation = relation.renamed(columns)
        frame.relations[alias or f"?{len(frame.relations)}"] = relation

    def _derived(self, node: exp.Expr, frame: Frame, alias: str, *, ordinality: bool) -> Relation:
        if isinstance(node, exp.Query):
            return self.query(node, frame)
        if isinstance(node, exp.Table) and not isinstance(node.this, exp.Func):
            return self._table(node, frame)
        call = node.this if isinstance(node, exp.Table) else node
        for argument in call.iter_expressions():
            self.expression(argument, frame)
        if isinstance(call, exp.Values):
            return values_relation(call)
        relation = function_relation(call, alias, ordinality=ordinality)
        if relation.is_open and not _column_aliases(node if node.alias else node.parent):
            name = call.name or "unnest"
            fix = f"Write {name}(…) AS {alias or 'x'}(first, second), with all its columns."
            self.problem("unnamed-columns", f"The columns of {name}() have no names here.", fix)
        return relation

    def _table(self, node: exp.Table, frame: Frame) -> Relation:
        name, schema = node.name, node.db
        if not schema and (found := frame.cte(name)):
            return found
        if not schema and name in self.around.queries:
            node.meta[QUERY] = name
            self.uses.queries.add(name)
            return self.around.queries[name]
        table = None if node.catalog else self._catalog.table(f"{schema}.{name}" if schema else name)
        if table is None:
            self.add(self._unknown_table(node, frame))
            return Relation({}, is_open=True)
        node.set("db", exp.Identifier(this=table.schema_name, quoted=True))
        self.uses.tables.add(table.relation)
        return table_relation(table)

    def _unknown_table(self, node: exp.Table, frame: Frame) -> Problem:
        name = f"{node.db}.{node.name}" if node.db else node.name
        known = {table.relation for table in self._catalog.tables}
        if node.name in self.around.later and not node.db:
            return Problem(self.path, "used-too-early", f"{name!r} is a later step.", "Move that step before this one.")
        if node.name in RESERVED and not node.db:
            message = f"{name!r} is one row, not a table."
            return Problem(self.path, "not-a-table", message, f"Write {name}.column, without FROM {name}.")
        if node.db in {"information_schema", "tidings"} or (node.db or node.name).startswith("pg_"):
            message = f"{name!r} belongs to the system."
            return Problem(self.path, "system-table", message, "Read tables of the application only.")
        elsewhere = [relation for relation in sorted(known) if relation.split(".", 1)[1] == node.name]
        names = known | set(self.around.queries) | set(_ctes(frame))
        best = elsewhere[0] if elsewhere else nearest(name, names)
        fix = f"Did you mean {best!r}?" if best else "Name an approved table of the catalog, as schema.table."
        return Problem(self.path, "unknown-table", f"unknown table {name!r}.", fix)

    def _check_alias(self, alias: str) -> None:
        if alias in RESERVED:
            message = f"{alias!r} is a name of the language and can't be an alias."
            self.problem("reserved-alias", message, "Choose another alias.")


def _column_aliases(node: exp.Expr | None) -> list[str]:
    alias = node.args.get("alias") if node is not None else None
    return [column.name for column in alias.columns] if isinstance(alias, exp.TableAlias) else []


def _names(frame: Frame, relations: set[str]) -> set[str]:
    return {name for relation in relations for name in frame.relations[relation].fields}


def _ctes(frame: Frame | None) -> Iterator[str]:
    while frame is not None:
        yield from frame.ctes
        frame = frame.parent
