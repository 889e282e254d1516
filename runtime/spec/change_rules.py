"""What must be right about a change trigger: its table, operations, columns and conditions on the row."""

from collections.abc import Callable, Iterator

from sqlglot import exp

from runtime.errors import Problem
from runtime.spec.fragment import Fragment
from runtime.spec.model import ChangeTrigger, Operation
from runtime.spec.nearest import did_you_mean, listed, nearest
from runtime.spec.possible import NULL, Values, allowed, possible
from runtime.spec.predicates import text
from runtime.spec.schema import Catalog, Column, Table
from runtime.spec.sql import parse_check
from runtime.spec.survey import Survey, operations


def check_change(trigger: ChangeTrigger, found: Survey) -> list[Problem]:
    """Return what is wrong with a change trigger."""
    if found.table is None:
        return [*_operations(trigger), _unknown_table(trigger.change, found.catalog)]
    problems = [*_operations(trigger), *_table(found.table), *_columns(trigger, found.table)]
    becomes, when = found.fragments.get("/trigger/becomes"), found.fragments.get("/trigger/when")
    if becomes:
        problems += _never_true(becomes, found.table, "")
    if when:
        problems += [*_never_true(when, found.table, "new"), *_never_true(when, found.table, "old")]
        problems += _level(trigger, when)
    return problems


def _unknown_table(name: str, catalog: Catalog) -> Problem:
    known = [table.relation for table in catalog.tables]
    bare = [relation for relation in known if relation.split(".", 1)[1] == name]
    fix = f"Did you mean {bare[0]!r}?" if bare else did_you_mean(name, known)
    return Problem("/trigger/change", "unknown-table", f"unknown table {name!r}, or nobody approved it.", fix)


def _operations(trigger: ChangeTrigger) -> Iterator[Problem]:
    ops = operations(trigger)
    if not ops:
        message = "Which operations start it is not said."
        yield Problem("/trigger/ops", "missing-ops", message, "Write ops: [insert], or add `becomes` or `columns`.")
    if len(trigger.ops) != len(set(trigger.ops)):
        yield Problem("/trigger/ops", "duplicate", "An operation is named twice.", "Name each once.")
    if trigger.becomes and Operation.DELETE in ops:
        message = "A deleted row becomes nothing."
        yield Problem(
            "/trigger/ops", "delete-becomes", message, "Leave delete out, or use ops: [delete] with `when` on old."
        )
    if trigger.becomes and ops == (Operation.INSERT,):
        message = "With ops: [insert] alone a row that gets there by an update is missed."
        yield Problem("/trigger/ops", "insert-only", message, "Leave `ops` out, unless that is meant.", warning=True)
    if trigger.columns and trigger.ops and Operation.UPDATE not in ops:
        message = "`columns` speaks of updates, and `ops` has none."
        yield Problem(
            "/trigger/columns", "columns-without-update", message, "Add update to `ops`, or leave `columns` out."
        )


def _table(table: Table) -> Iterator[Problem]:
    if table.kind in {"view", "materialized"}:
        message = f"{table.relation} is a view; only tables have changes."
        yield Problem("/trigger/change", "not-a-table", message, "Watch the table behind it and join the rest in `if`.")
    elif not table.primary_key:
        message = f"{table.relation} has no primary key, so that `live` and `while` don't exist."
        fix = "Add a primary key if the row has to be looked at again later."
        yield Problem("/trigger/change", "no-primary-key", message, fix, warning=True)


def _columns(trigger: ChangeTrigger, table: Table) -> Iterator[Problem]:
    names = [column.name for column in table.columns]
    for place, name in enumerate(trigger.columns):
        path = f"/trigger/columns/{place}"
        if name not in names:
            yield Problem(
                path, "unknown-column", f"unknown column {name!r} in {table.relation}.", did_you_mean(name, names)
            )
        elif name in trigger.columns[:place]:
            yield Problem(path, "duplicate", f"{name!r} is named twice.", "Name it once.")


def _level(trigger: ChangeTrigger, when: Fragment) -> Iterator[Problem]:
    """Warn of a `when` on the new row alone: it is true at every update while it lasts, a level and no edge."""
    if trigger.becomes or trigger.columns or Operation.UPDATE not in operations(trigger) or "old" in when.uses.rows:
        return
    bare = text(when.tree).replace("new.", "")
    message = "This is true at every update of the row as long as it lasts."
    yield Problem(
        "/trigger/when", "level", message, f"To fire once, when it becomes true: becomes: {bare}", warning=True
    )


def _never_true(fragment: Fragment, table: Table, prefix: str) -> list[Problem]:
    """Say that a condition contradicts the table's CHECKs, its labels or its NOT NULLs."""
    checks = [(check, tree) for check in table.checks if (tree := parse_check(check)) is not None]
    columns = [c for c in table.columns if c.name in fragment.uses.rows.get(prefix, set())]
    absent = prefix and fragment.kind == "pair" and _may_be_absent(fragment, prefix)

    def contradicted(node: exp.Expr) -> Problem | None:
        for column in columns:
            named = [(check, tree) for check, tree in checks if _names(tree, column)]
            rules = allowed(
                column.model_copy(update={"nullable": True}) if absent else column, [tree for _, tree in named]
            )
            wanted = possible(node, column, prefix)
            if not wanted.is_empty and (rules & wanted).is_empty:
                reason = _reason(column, table, rules, wanted, [check for check, _ in named])
                return Problem(fragment.path, "never-true", f"{text(node)} can never be true.", reason)
        return None

    return _judge(fragment.tree, contradicted)


def _judge(tree: exp.Expr, contradicted: Callable[[exp.Expr], Problem | None]) -> list[Problem]:
    """Find the part that contradicts: of several alternatives a dead one is a warning, if another one lives."""
    tree = tree.unnest()
    if isinstance(tree, exp.Or):
        parts = [_judge(part, contradicted) for part in tree.flatten()]
        dead = [part[0] for part in parts if part and not part[0].warning]
        if len(dead) == len(parts):
            return dead
        return [Problem(p.path, p.code, p.message, p.fix, warning=True) for p in dead]
    if isinstance(tree, exp.And):
        for part in tree.flatten():
            found = _judge(part, contradicted)
            if found:
                return found
    problem = contradicted(tree)
    return [problem] if problem else []


def _reason(column: Column, table: Table, rules: Values, wanted: Values, checks: list[str]) -> str:
    if wanted == NULL:
        return f"{column.name} is never NULL in {table.relation}."
    if rules.points and not rules.spans:
        known = sorted(str(point) for point in rules.points)
        best = next(filter(None, (nearest(str(point), known) for point in wanted.points)), "")
        return f"{column.name} is one of {listed(known)}.{f' Did you mean {best!r}?' if best else ''}"
    return f"{table.relation} allows only {' and '.join(checks)}."


def _names(tree: exp.Expr, column: Column) -> bool:
    return any(node.name == column.name for node in tree.find_all(exp.Column))


def _may_be_absent(fragment: Fragment, prefix: str) -> bool:
    """Return whether that row may not exist, so that its columns are NULL whatever the table says."""
    columns = (node for node in fragment.tree.find_all(exp.Column) if node.table == prefix)
    known = [f for node in columns if (f := fragment.fields.get(id(node))) and f.column]
    return any(f.nullable and f.column and not f.column.nullable for f in known)
