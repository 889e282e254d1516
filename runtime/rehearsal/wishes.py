"""What a workflow's SQL asks of the row that changed, and of the people it tells: what a witness row must meet."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlglot import exp

from runtime.rehearsal.conditions import (
    Bound,
    Environment,
    Unknown,
    conjuncts,
    first_select,
    outer_names,
    taken_apart,
    written,
)
from runtime.rehearsal.row import Predicate
from runtime.spec.model import ChangeTrigger, SendStep
from runtime.spec.schema import Catalog
from runtime.spec.survey import Survey

ROW = "new"
"""What the trigger's row is called in here, whether the SQL says new, live or (of a deleted row) old."""


@dataclass(frozen=True)
class Wishes:
    """What is asked of a trigger's row."""

    state: tuple[exp.Expr, ...]
    """By the trigger: `becomes`, and what `when` asks of the new row (of a deleted one: of the old)."""
    pair: tuple[exp.Expr, ...]
    """By the trigger of both rows: `when` with old and new."""
    later: tuple[exp.Expr, ...]
    """By everything after the trigger, of the row alone."""
    while_: tuple[exp.Expr, ...] = ()
    """By `while`, of the row alone; among `later` too."""


def wishes(found: Survey, *, deleted: bool = False) -> Wishes:
    """Return what a workflow asks of its trigger's row."""
    trigger = found.workflow.trigger
    state: list[exp.Expr] = []
    pair: list[exp.Expr] = []
    if isinstance(trigger, ChangeTrigger):
        for path in ("/trigger/becomes", "/trigger/when"):
            if path in found.fragments:
                bare = path.endswith("becomes")
                for part in conjuncts(_same_row(found.fragments[path].tree, deleted=deleted, bare=bare)):
                    names = {column.table for column in part.find_all(exp.Column)}
                    (pair if "old" in names else state).append(part)
    later: list[exp.Expr] = []
    for path, fragment in found.fragments.items():
        tree = _same_row(fragment.tree, deleted=deleted)
        if path.endswith("/until"):
            later += _filled(tree)
        elif not path.startswith("/trigger"):
            later += _of_row(tree, found.catalog)
    lasting = found.fragments.get("/while")
    while_ = _of_row(_same_row(lasting.tree, deleted=deleted), found.catalog) if lasting else ()
    return Wishes(tuple(state), tuple(pair), tuple(later), tuple(while_))


def predicates(parts: tuple[exp.Expr, ...], environment: Environment, *, now: str, own: str = ROW) -> list[Predicate]:
    """Return the conditions as predicates on the row; those that need more than it are left out."""
    found = []
    for part in parts:
        try:
            found.append(Predicate(written(part, environment, now=now, own=own)))
        except Unknown:
            continue
    return found


def address_wish(step: SendStep, to: exp.Expr, *, missing: bool = False) -> list[exp.Expr]:
    """Return the condition that the first channel of a send has an address, or that none has."""
    select = first_select(to)
    outputs = {item.alias_or_name: item.unalias() for item in select.expressions} if select else {}
    columns = [outputs[channel.value] for channel in step.channels if channel.value in outputs]
    chosen = columns if missing else columns[:1]
    return [exp.Is(this=exp.Paren(this=column.copy()), expression=exp.Null(), negate=not missing) for column in chosen]


def event(at: str) -> Bound:
    """Return the row `event`."""
    return Bound({"at": at}, {"at": "timestamptz"})


def _of_row(tree: exp.Expr, catalog: Catalog) -> Iterator[exp.Expr]:
    """Yield what a tree asks of the trigger's row alone, or needs it to have in order to join."""
    if not isinstance(tree, exp.Query):
        yield from _asked(conjuncts(tree))
    for select in tree.find_all(exp.Select):
        if not select.find_ancestor(exp.Not, exp.Or, exp.Case):
            yield from _asked(taken_apart(select, catalog, {}).conditions)


def _asked(conditions: list[exp.Expr]) -> Iterator[exp.Expr]:
    for condition in conditions:
        names = outer_names(condition, ())
        if condition.find(exp.Query):
            continue
        if names == {ROW}:
            yield condition
        elif isinstance(condition, exp.EQ) and ROW in names and len(names) > 1:
            yield from _filled(condition)


def _filled(tree: exp.Expr) -> Iterator[exp.Expr]:
    """Yield that the row's columns in a tree are not NULL."""
    for column in tree.find_all(exp.Column):
        if column.table == ROW:
            yield exp.Is(this=column.copy(), expression=exp.Null(), negate=True)


def _same_row(tree: exp.Expr, *, deleted: bool, bare: bool = False) -> exp.Expr:
    """Return the tree with every name of the trigger's row made one; in `becomes` its columns stand bare."""
    copy = tree.copy()
    names = {"old": ROW} if deleted else {"live": ROW}
    names |= {"": ROW} if bare else {}
    for column in [copy] if isinstance(copy, exp.Column) else list(copy.find_all(exp.Column)):
        if column.table in names:
            column.set("table", exp.to_identifier(names[column.table], quoted=True))
    return copy
