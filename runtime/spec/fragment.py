"""One piece of an author's SQL, parsed, checked and resolved: what validation judges and compilation renders."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from sqlglot import exp

from runtime.errors import Problem
from runtime.spec.expansions import expand
from runtime.spec.functions import check_functions
from runtime.spec.outputs import UNNAMED
from runtime.spec.resolve import Resolver
from runtime.spec.schema import Catalog
from runtime.spec.scope import Field, Frame, Relation, Surroundings, Uses, relation_of
from runtime.spec.sql import NotSql, parse_expression, parse_query


class Kind(StrEnum):
    """What a fragment is for."""

    ROW = "row"
    """A condition on the bare columns of one row: `becomes`."""
    PAIR = "pair"
    """A condition on `new` and `old` alone: `when`."""
    CONDITION = "condition"
    """`if` and `while`."""
    INSTANT = "instant"
    """`until`."""
    QUERY = "query"
    """`sql`, `to` and `each`: one SELECT."""


@dataclass(frozen=True)
class Fragment:
    """A resolved fragment. Its tree must not be changed; copy it first."""

    path: str
    kind: Kind
    tree: exp.Expr
    uses: Uses
    fields: Mapping[int, Field]
    """By id of the column reference: what it means."""
    outputs: tuple[Field, ...]
    """A query's columns, in order."""
    is_open: bool
    """A query that may return more columns than these."""

    @property
    def relation(self) -> Relation:
        """Return the query's result as a table for later steps."""
        return relation_of(self.outputs, is_open=self.is_open)

    def output(self, name: str) -> Field | None:
        """Return the query's column of that name."""
        return next((f for f in self.outputs if f.name == name), None)


@dataclass(frozen=True)
class Analysis:
    """A fragment, unless it can't be read at all, and everything wrong with it."""

    fragment: Fragment | None
    problems: tuple[Problem, ...] = ()


def analyse(text: str, path: str, kind: Kind, around: Surroundings, catalog: Catalog) -> Analysis:
    """Parse, check and resolve one fragment; collects every problem that does not hide another."""
    try:
        tree = parse_query(text, path) if kind is Kind.QUERY else parse_expression(text, path)
        return _resolved(tree, path, kind, around, catalog)
    except NotSql as error:
        return Analysis(None, (error.problem,))
    except RecursionError:
        problem = Problem(path, "too-deep", "The SQL is nested too deeply.", "Split it over query steps.")
        return Analysis(None, (problem,))


def _resolved(tree: exp.Expr, path: str, kind: Kind, around: Surroundings, catalog: Catalog) -> Analysis:
    pure = kind in {Kind.ROW, Kind.PAIR}
    problems = check_functions(tree, path, catalog.functions, pure=pure)
    tree, wrong_calls = expand(tree, path, catalog.contacts)
    resolver = Resolver(catalog, around, path)
    if isinstance(tree, exp.Query) and kind is Kind.QUERY:
        resolver.query(tree, Frame())
    else:
        resolver.expression(tree, Frame())
    outputs = tuple(resolver.outputs.get(id(tree), ())) if kind is Kind.QUERY else ()
    is_open = id(tree) in resolver.open_outputs
    fragment = Fragment(path, kind, tree, resolver.uses, resolver.columns, outputs, is_open)
    problems += wrong_calls + resolver.problems
    problems += _impure(tree, path) if pure else []
    problems += _unnamed(resolver, tree, path) if kind is Kind.QUERY else []
    return Analysis(fragment, tuple(problems))


def _impure(tree: exp.Expr, path: str) -> list[Problem]:
    """Say what can't stand in a condition on the row, which sees its row alone: no tables, clocks, sums."""
    problems = []
    if tree.find(exp.Query):
        message = "A condition on the row has no subquery."
        problems.append(Problem(path, "subquery", message, "Ask other tables in `if`."))
    if tree.find(exp.Placeholder):
        message = "A condition on the row has no clock."
        problems.append(
            Problem(path, "clock", message, "Compare with :now in `if`, or `wait` until the time has come.")
        )
    if tree.find(exp.Window, exp.Filter, exp.WithinGroup, exp.Star):
        problems.append(Problem(path, "aggregate", "A condition on the row sees one row.", "Count rows in `if`."))
    return problems


def _unnamed(resolver: Resolver, tree: exp.Expr, path: str) -> list[Problem]:
    """Every column of a result needs a name of its own: templates and later SQL call it by that."""
    outputs, problems = resolver.outputs.get(id(tree), []), []
    top: exp.Expr = tree
    while isinstance(top, exp.SetOperation | exp.Subquery):
        top = top.this
    for name in resolver.doubles.get(id(top), []):
        message = "Two columns have no name." if name == UNNAMED else f"Two columns are called {name!r}."
        problems.append(Problem(path, "duplicate-column", message, "Name them apart with AS."))
    if not problems and any(f.name == UNNAMED for f in outputs):
        problems.append(Problem(path, "unnamed-column", "A column has no name.", "Give it one with AS."))
    if any(f.name == "run_id" for f in outputs):
        problems.append(Problem(path, "reserved-column", "'run_id' is Tidings' own column.", "Rename it with AS."))
    if not outputs and id(tree) not in resolver.open_outputs:
        problems.append(Problem(path, "no-columns", "The SELECT returns no column.", "Name the columns you need."))
    return problems
