"""Makes the rows that a query needs so that it returns something: a witness for each table it joins.

Each table of a SELECT is taken in an order in which the conditions lead from what is known to what is not. The values
known so far are written into the conditions, so that what is left is about one row: it is found, or changed, or made.
What can't be read that way (sums, NOT EXISTS, functions) is left out here; whether the query really returns something
is asked afterwards.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from psycopg import Connection, Error
from sqlglot import exp

from runtime.rehearsal.clauses import counts, filled, mentions, pushed, summed, tie
from runtime.rehearsal.conditions import (
    Bound,
    Environment,
    From,
    Parts,
    Unknown,
    bound,
    conjuncts,
    first_select,
    outer_names,
    taken_apart,
    written,
)
from runtime.rehearsal.row import Predicate, Row
from runtime.rehearsal.rows import NoRow, Rows
from runtime.rehearsal.sought import Asked, fitting_row
from runtime.spec.schema import Catalog

_NEEDED = {exp.GTE: 0, exp.EQ: 0, exp.GT: 1}
"""Comparison of a count with n → how many more than n rows it takes."""
_FLIPPED: dict[type[exp.Expr], type[exp.Expr]] = {exp.LTE: exp.GTE, exp.LT: exp.GT, exp.EQ: exp.EQ}
_MOST = 30


@dataclass
class Witness:
    """Makes rows in one clone, at one instant of the virtual clock."""

    conn: Connection[Any]
    rows: Rows
    catalog: Catalog
    now: str
    protected: list[Row] = field(default_factory=list)
    """Rows that must stay as they are: those that scenarios write."""
    views: Mapping[str, exp.Expr] = field(default_factory=dict)

    def query(self, node: exp.Expr, environment: Environment, *, asked: Sequence[exp.Expr] = ()) -> Environment:
        """Make rows so that a SELECT returns one, and return what each of its aliases stands for then.

        `asked` are more conditions over its sources. Raises NoRow when a row that it needs was not found.
        """
        return self._query(node, environment, {}, asked)

    def condition(self, node: exp.Expr, environment: Environment) -> None:
        """Make rows so that a condition may become true: those of its EXISTS, IN and counts."""
        for part in conjuncts(node):
            self._subqueries(part, environment, {}, ())

    def value(self, node: exp.Expr, environment: Environment) -> tuple[str | None, str]:
        """Return what an expression is, as text, and its type; raises Unknown where that can't be told."""
        text = written(node, environment, now=self.now)
        try:
            with self.conn.transaction():
                row = self.conn.execute(f"SELECT ({text})::text, pg_typeof(({text}))::text").fetchone()
        except Error as error:
            raise Unknown(str(error)) from error
        return (row[0], row[1]) if row else (None, "text")

    def _query(
        self,
        node: exp.Expr,
        environment: Environment,
        ctes: Mapping[str, exp.Expr],
        asked: Sequence[exp.Expr],
        force: str = "",
    ) -> dict[str, Bound]:
        select = first_select(node)
        if select is None:
            return dict(environment)
        parts = taken_apart(select, self.catalog, ctes, self.views)
        parts.conditions += asked
        known: dict[str, Bound] = {**environment}
        for source in parts.sources:
            known.pop(source.alias, None)  # it hides a row of that name outside
        pending = list(parts.sources)
        while pending:
            source = min(pending, key=lambda one: self._distance(one, pending, parts))
            pending.remove(source)
            found = self._source(source, pending, parts, known, force=source.alias == force)
            if found is not None:
                known[source.alias] = found
        for condition in parts.conditions:
            self._subqueries(condition, known, parts.ctes, parts.sources)
        return known

    def _distance(self, source: From, pending: Sequence[From], parts: Parts) -> tuple[int, int]:
        """Return how far a source is from what is known: by its key, by another equality, by any other condition."""
        later = {other.alias for other in pending} - {source.alias}
        keys = source.table.primary_key if source.table else ()
        near = 0
        for condition in parts.conditions:
            names = outer_names(condition, parts.sources)
            if source.alias in names and not names & later and len(names) > 1:
                own = {column.name for column in condition.find_all(exp.Column) if column.table == source.alias}
                near += 1 if not isinstance(condition, exp.EQ) else 100 if own <= set(keys) else 10
        return -near, parts.sources.index(source)

    def _source(
        self, source: From, pending: Sequence[From], parts: Parts, known: dict[str, Bound], *, force: bool
    ) -> Bound | None:
        conditions = [c for c in parts.conditions if source.alias in outer_names(c, parts.sources)]
        later = {other.alias for other in pending}
        ready = [c for c in conditions if not outer_names(c, parts.sources) & later]
        if source.query is not None:
            return self._derived(source, ready, parts, known)
        if source.table is None:
            return None
        asked = Asked()
        for condition in ready:
            self._ask(asked, condition, source, parts, known)
        asked.soft += filled(source.alias, source.table, [c for c in conditions if c not in ready])
        try:
            return bound(fitting_row(self.rows, source.table, asked, known, protected=self.protected, force=force))
        except NoRow:
            if source.optional:
                return None
            raise

    def _ask(self, asked: Asked, condition: exp.Expr, source: From, parts: Parts, known: Environment) -> None:
        """Add a condition, with what is known written in; one that needs more than is known is left out."""
        inner = list(condition.find_all(exp.Query))
        if any(mentions(query, source.alias) for query in inner):
            return  # about rows that are tied to this one: made once this one is there
        for query in inner:
            self._query(query, known, parts.ctes, ())
        try:
            text = written(condition, known, now=self.now, own=source.alias, sources=parts.sources)
        except Unknown:
            return
        predicate = Predicate(text)
        if inner:
            asked.loose.append(predicate)
        elif tied_to := tie(condition, predicate, source.alias):
            asked.ties.append(tied_to)
        else:
            asked.plain.append(predicate)

    def _derived(self, source: From, asked: Sequence[exp.Expr], parts: Parts, known: Environment) -> Bound:
        """Make the rows of a query in FROM; what is asked of its columns is asked of what they are made of."""
        select = first_select(source.query) if source.query is not None else None
        if select is None:
            return Bound({}, {})
        outputs = {item.alias_or_name: item.unalias() for item in select.expressions}
        inner = [inside for condition in asked if (inside := pushed(condition, source, outputs, known)) is not None]
        environment = self._query(select, known, parts.ctes, inner)
        values: dict[str, str | None] = {}
        types: dict[str, str] = {}
        for name, expression in outputs.items():
            with suppress(Unknown):
                values[name], types[name] = self.value(expression, environment)
        return Bound(values, types)

    def _subqueries(
        self, condition: exp.Expr, known: Environment, ctes: Mapping[str, exp.Expr], sources: Sequence[From]
    ) -> None:
        """Make the rows of the queries inside a condition that must return something for it to hold."""
        match condition:
            case exp.Exists():
                self._query(condition.this, known, ctes, ())
            case exp.In() if condition.args.get("query"):
                self._member(condition.this, condition.args["query"], known, ctes, sources)
            case exp.Or():
                first = [part for part in (condition.this, condition.expression) if part.find(exp.Query)]
                for part in first[:1]:
                    self._subqueries(part.unnest(), known, ctes, sources)
            case exp.GTE() | exp.GT() | exp.EQ() | exp.LTE() | exp.LT():
                self._compared(condition, known, ctes)
            case exp.Is() if condition.args.get("negate") and isinstance(condition.this.unnest(), exp.Query):
                self._query(condition.this.unnest(), known, ctes, ())
            case _:
                return

    def _member(
        self,
        value: exp.Expr,
        query: exp.Expr,
        known: Environment,
        ctes: Mapping[str, exp.Expr],
        sources: Sequence[From],
    ) -> None:
        select = first_select(query)
        if select is None or len(select.expressions) != 1:
            return
        try:
            text = written(value, known, now=self.now, sources=sources)
        except Unknown:
            return
        output = select.expressions[0].unalias().copy()
        self._query(select, known, ctes, [exp.EQ(this=output, expression=exp.Var(this=text))])

    def _compared(self, condition: exp.Expr, known: Environment, ctes: Mapping[str, exp.Expr]) -> None:
        """Make the rows of a query that is compared with a value: as many as a count needs, else one that compares."""
        left, right, kind = condition.this.unnest(), condition.expression.unnest(), type(condition)
        if isinstance(right, exp.Query):
            left, right, kind = right, left, _FLIPPED.get(kind, kind)
        select = first_select(left) if isinstance(left, exp.Query) else None
        if select is None:
            return
        try:
            text = written(right, known, now=self.now)
        except Unknown:
            self._query(left, known, ctes, ())
            return
        if counts(select):
            if kind in _NEEDED:
                wanted = int(self.value(right, known)[0] or 0) + _NEEDED[kind]
                self._count_up(left, select, wanted, known, ctes)
            return
        self._query(left, known, ctes, [kind(this=summed(select), expression=exp.Var(this=text))])

    def _count_up(
        self, query: exp.Expr, select: exp.Select, wanted: int, known: Environment, ctes: Mapping[str, exp.Expr]
    ) -> None:
        parts = taken_apart(select, self.catalog, ctes, self.views)
        first = next((source.alias for source in parts.sources if source.table), "")
        for number in range(min(wanted, _MOST)):
            if int(self.value(exp.Subquery(this=query.copy()), known)[0] or 0) >= wanted:
                return
            self._query(select, known, ctes, (), force=first if number else "")
