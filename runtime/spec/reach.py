"""What a workflow needs at hand: the columns a hook must capture, and everything it reads, for grants and drift."""

from runtime.spec.model import ChangeTrigger, SendStep
from runtime.spec.placeholders import columns_printed
from runtime.spec.survey import Survey


def hook_columns(found: Survey) -> tuple[str, ...]:
    """Return the columns a hook puts into the payload, in the table's order.

    They are what is named of `new`, `old` and the bare row, what `columns` watches, what texts print, and the primary
    key. A row used as a whole needs every column.
    """
    if found.table is None or not isinstance(found.workflow.trigger, ChangeTrigger):
        return ()
    needed = set(found.workflow.trigger.columns) | set(found.table.primary_key)
    for fragment in found.fragments.values():
        for row in ("", "new", "old"):
            needed |= fragment.uses.rows.get(row, set())
    needed |= printed(found, "new") | printed(found, "old")
    return tuple(column.name for column in found.table.columns if column.name in needed)


def printed(found: Survey, root: str) -> set[str]:
    """Return the columns of a row of the trigger's table that the texts of any send print."""
    if found.table is None:
        return set()
    everything = {column.name for column in found.table.columns}
    needed: set[str] = set()
    for step in found.workflow.steps:
        if isinstance(step, SendStep):
            columns = columns_printed(step, root)
            needed |= everything if columns is None else columns & everything
    return needed


def tables_read(found: Survey) -> tuple[str, ...]:
    """Return every table that is read, the trigger's own among them, as schema.table."""
    own = {found.table.relation} if found.table else set()
    return tuple(sorted(own.union(*(fragment.uses.tables for fragment in found.fragments.values()))))


def columns_read(found: Survey) -> tuple[str, ...]:
    """Return every column that is named anywhere, as schema.table.column."""
    columns = set().union(*(fragment.uses.columns for fragment in found.fragments.values()))
    if found.table is not None:
        rows = [fragment.uses.rows.get("live", set()) for fragment in found.fragments.values()]
        named = set(hook_columns(found)).union(*rows) | printed(found, "live")
        columns |= {f"{found.table.relation}.{name}" for name in named}
    return tuple(sorted(columns))
