"""Every piece of SQL in a workflow, read once and in order, each with the names that exist at its place."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from runtime.errors import Problem
from runtime.spec.fragment import Analysis, Fragment, Kind, analyse
from runtime.spec.model import ChangeTrigger, Operation, QueryStep, ScheduleTrigger, SendStep, WaitStep, Workflow
from runtime.spec.schema import Catalog, Table
from runtime.spec.scope import Relation, Surroundings, event_relation, row_relation

_ONLY_IN_TEXTS = "it is the person a message is for, and exists in texts only"


@dataclass
class Survey:
    """A workflow's fragments by path, and everything that is wrong with each by itself."""

    workflow: Workflow
    catalog: Catalog
    table: Table | None
    """The change trigger's table, if it is known."""
    fragments: dict[str, Fragment] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def survey(workflow: Workflow, catalog: Catalog) -> Survey:
    """Read all SQL of a workflow."""
    trigger = workflow.trigger
    table = catalog.table(trigger.change) if isinstance(trigger, ChangeTrigger) else None
    found = Survey(workflow, catalog, table)
    for path, text, kind, around in _places(found):
        if text:
            analysis: Analysis = analyse(text, path, kind, around, catalog)
            found.problems += analysis.problems
            if analysis.fragment is not None:
                found.fragments[path] = analysis.fragment
    return found


def operations(trigger: ChangeTrigger) -> tuple[Operation, ...]:
    """Return the operations that start runs: those that are said, or the default of `becomes` and `columns`."""
    if trigger.ops:
        return tuple(operation for operation in Operation if operation in trigger.ops)
    if trigger.becomes:
        return (Operation.INSERT, Operation.UPDATE)
    return (Operation.UPDATE,) if trigger.columns else ()


def _places(found: Survey) -> Iterator[tuple[str, str, Kind, Surroundings]]:
    """Yield path, SQL, kind and surroundings of each piece; later ones may see what earlier ones return."""
    workflow, trigger = found.workflow, found.workflow.trigger
    names = [step.query for step in workflow.steps if isinstance(step, QueryStep)]
    if isinstance(trigger, ChangeTrigger):
        pair = {name: row for name, row in rows_in_scope(found).items() if name in {"new", "old"}}
        yield "/trigger/becomes", trigger.becomes, Kind.ROW, Surroundings(bare=_bare_row(found), pure=True)
        yield "/trigger/when", trigger.when, Kind.PAIR, Surroundings(pair, _missing(found, pair), pure=True)
    else:
        event = {"event": event_relation()}
        yield "/trigger/each", trigger.each, Kind.QUERY, Surroundings(event, _missing(found, event))
    rows = rows_in_scope(found)
    start = Surroundings(rows, _missing(found, rows), later=frozenset(names))
    yield "/if", workflow.condition, Kind.CONDITION, start
    yield "/while", workflow.while_, Kind.CONDITION, start
    queries: dict[str, Relation] = {}
    for number, step in enumerate(workflow.steps):
        path = f"/steps/{number}"
        around = Surroundings(rows, _missing(found, rows), dict(queries), frozenset(names) - queries.keys())
        yield f"{path}/if", step.condition, Kind.CONDITION, around
        match step:
            case QueryStep():
                yield f"{path}/sql", step.sql, Kind.QUERY, around
                fragment = found.fragments.get(f"{path}/sql")
                queries[step.query] = fragment.relation if fragment else Relation({}, is_open=True)
            case WaitStep():
                yield f"{path}/until", step.until, Kind.INSTANT, around
            case SendStep():
                yield f"{path}/to", step.to, Kind.QUERY, around


def _bare_row(found: Survey) -> Relation:
    return row_relation("", found.table, absent=False) if found.table else Relation({}, is_open=True)


def rows_in_scope(found: Survey) -> dict[str, Relation]:
    """Return the rows of the language that this trigger has."""
    trigger = found.workflow.trigger
    rows = {"event": event_relation()}
    if isinstance(trigger, ScheduleTrigger):
        if trigger.each:
            each = found.fragments.get("/trigger/each")
            items = each.relation if each else Relation({}, is_open=True)
            rows["item"] = Relation(items.fields, items.is_open, row="item")
        return rows
    if found.table is None:
        return rows | {name: Relation({}, is_open=True, row=name) for name in ("new", "old", "live")}
    ops = set(operations(trigger)) or set(Operation)
    if ops != {Operation.DELETE}:
        rows["new"] = row_relation("new", found.table, absent=Operation.DELETE in ops)
    if ops != {Operation.INSERT}:
        rows["old"] = row_relation("old", found.table, absent=Operation.INSERT in ops)
    if found.table.primary_key:
        rows["live"] = row_relation("live", found.table, absent=True)
    return rows


def _missing(found: Survey, rows: Mapping[str, Relation]) -> dict[str, str]:
    """Say for each name of the language that is not there why it is not."""
    trigger = found.workflow.trigger
    if isinstance(trigger, ScheduleTrigger):
        without = "a schedule has no row that changed"
        reasons = dict.fromkeys(("new", "old", "live"), without)
        reasons["item"] = "there is an item only with `each`, in what follows it"
    else:
        reasons = {
            "new": "a deleted row has only old",
            "old": "an inserted row has only new",
            "live": "it is no part of the change itself" if "event" not in rows else "the table has no primary key",
            "item": "only a schedule with `each` has items",
            "event": "it is no part of the change itself",
        }
    reasons |= {"recipient": _ONLY_IN_TEXTS, "run": "it is Tidings' own"}
    return {name: reason for name, reason in reasons.items() if name not in rows}
