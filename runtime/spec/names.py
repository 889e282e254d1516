"""What texts may print: the root names of a send, their columns, and which of these may be NULL."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from runtime.spec.fragment import Fragment
from runtime.spec.model import QueryStep, SendStep, Workflow, step_name
from runtime.spec.schema import Catalog, Column
from runtime.spec.scope import Relation
from runtime.spec.survey import Survey, rows_in_scope, survey


@dataclass(frozen=True)
class Names:
    """What stands behind one root name of a template, such as `new`, `recipient` or the name of a query."""

    columns: Mapping[str, bool] | None
    """Column → may be NULL there. None: the columns are not known, anything may be printed and may be NULL."""
    rows: bool = False
    """A list of rows (a query's result), to be looped over or indexed."""


def names_in_scope(
    workflow: Workflow, catalog: Catalog, described: Mapping[str, Sequence[Column]] | None = None
) -> dict[str, dict[str, Names]]:
    """Return for each send step, by its name, the root names its texts may use.

    `described` gives result columns by step name, as the live server knows them; needed only where the catalog alone
    can't tell them. A row that may not exist (`old` of an insert, `live` without `while`) makes all its columns
    nullable.
    """
    found = survey(workflow, catalog)
    scope: dict[str, dict[str, Names]] = {}
    queries: dict[str, Names] = {}
    for number, step in enumerate(workflow.steps):
        known = (described or {}).get(step_name(step))
        if isinstance(step, QueryStep):
            queries[step.query] = _result(found.fragments.get(f"/steps/{number}/sql"), known, rows=True)
        elif isinstance(step, SendStep):
            recipient = _result(found.fragments.get(f"/steps/{number}/to"), known, rows=False)
            scope[step.send] = {**_rows(found), **queries, "recipient": recipient}
    return scope


def _rows(found: Survey) -> dict[str, Names]:
    names = {name: _names(relation) for name, relation in rows_in_scope(found).items()}
    if found.workflow.while_ and "live" in names and found.table:
        names["live"] = Names({column.name: column.nullable for column in found.table.columns})
    return names


def _names(relation: Relation) -> Names:
    return Names(None if relation.is_open else {f.name: f.nullable for f in relation.fields.values()})


def _result(fragment: Fragment | None, known: Sequence[Column] | None, *, rows: bool) -> Names:
    """Return a query's columns: what the catalog tells of their NULLs, and the columns only the server knows."""
    told = {f.name: f.nullable for f in fragment.outputs} if fragment else {}
    if fragment is not None and not fragment.is_open:
        return Names(told, rows)
    if known is None:
        return Names(None, rows)
    return Names({column.name: told.get(column.name, True) for column in known}, rows)
