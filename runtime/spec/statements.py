"""The batch form: one statement for any number of runs. The author's SQL stands in it as a correlated subquery.

`run` is one row per run, from arrays. `new`, `old`, `live`, `item` and `event` join it by name as far as the SQL needs
them, so that `new.customer_id` is a typed column and needs no parameter of its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from runtime.spec.fragment import Fragment
from runtime.spec.render import column_definitions, literal, qualified, quoted, render
from runtime.spec.schema import Column, Table

_ARRAYS = {
    "run_id": "%(ids)s::bigint[]",
    "new_data": "%(new)s::jsonb[]",
    "old_data": "%(old)s::jsonb[]",
    "event_at": "%(at)s::timestamptz[]",
    "item_data": "%(item)s::jsonb[]",
    "context_data": "%(context)s::jsonb[]",
}
MORNING = "09:00"
"""When a date without an hour is due, in the project's zone."""


@dataclass(frozen=True)
class Scene:
    """What the statements of one workflow are built over."""

    table: Table | None = None
    """The change trigger's table."""
    captured: frozenset[str] = frozenset()
    """The columns that the payload of a change carries."""
    deletes: bool = False
    """Some runs start from a deleted row, which has only `old`."""
    items: tuple[Column, ...] = ()
    queries: Mapping[str, Sequence[Column]] = field(default_factory=dict)
    """Earlier queries → their columns."""
    zone: str = "UTC"


def query_sql(fragment: Fragment, scene: Scene) -> str:
    """Return run_id and the author's columns, at most cap + 1 rows a run; a run without rows is absent."""
    author = render(fragment.tree, scene.queries)
    return (
        f'SELECT "run"."run_id", "found".* {_sources(fragment, scene)}\n'
        f'CROSS JOIN LATERAL (SELECT * FROM (\n{author}\n) AS "author" LIMIT %(cap)s::int + 1) AS "found"'
    )


def condition_sql(fragment: Fragment, scene: Scene, *, row_must_exist: bool = False) -> str:
    """Return run_id and `holds`, one row a run; with `row_must_exist` a row that is gone makes it false."""
    holds = f"coalesce((\n{render(fragment.tree, scene.queries)}\n), false)"
    rows = set(fragment.uses.rows)
    if row_must_exist and scene.table and scene.table.primary_key:
        rows.add("live")
        exists = f'"live".{_plain(quoted(scene.table.primary_key[0]))} IS NOT NULL'
        holds += f' AND ("run"."new_data" IS NULL OR {exists})' if scene.deletes else f" AND {exists}"
    return f'SELECT "run"."run_id", {holds} AS "holds" {_sources(fragment, scene, rows)}'


def instant_sql(fragment: Fragment, scene: Scene, *, is_date: bool = False) -> str:
    """Return run_id and `at`, one row a run; a date means 09:00 in the project's zone."""
    at = f"(\n{render(fragment.tree, scene.queries)}\n)"
    if is_date:
        at = f"({at} + time {literal(MORNING)}) AT TIME ZONE {literal(scene.zone)}"
    return f'SELECT "run"."run_id", {at} AS "at" {_sources(fragment, scene)}'


def live_sql(columns: Sequence[str], scene: Scene) -> str:
    """Return run_id and columns of the trigger's row as it is now; a run whose row is gone is absent."""
    assert scene.table is not None  # noqa: S101  # for the type checker: only change triggers have a row
    names = ", ".join(f'"live".{_plain(quoted(name))}' for name in columns)
    runs = _from({"live"}, replace(scene, table=None), context=False)
    return f'SELECT "run"."run_id", {names} {runs}\n{_live(scene.table, deletes=scene.deletes)}'


def _sources(fragment: Fragment, scene: Scene, rows: set[str] | None = None) -> str:
    return _from(rows if rows is not None else set(fragment.uses.rows), scene, context=bool(fragment.uses.queries))


def _from(rows: set[str], scene: Scene, *, context: bool) -> str:
    """Return the FROM clause that brings the runs and those rows of the language that are needed."""
    needed = {"run_id"}
    needed |= {"new_data"} if rows & {"new", "live"} else set()
    needed |= {"old_data"} if "old" in rows or ("live" in rows and scene.deletes) else set()
    needed |= {"event_at"} if "event" in rows else set()
    needed |= {"item_data"} if "item" in rows else set()
    needed |= {"context_data"} if context else set()
    names = [name for name in _ARRAYS if name in needed]
    parts = [f'FROM unnest({", ".join(_ARRAYS[name] for name in names)}) AS "run"({", ".join(map(quoted, names))})']
    parts += [_row(name, scene) for name in ("new", "old") if name in rows and scene.table]
    if "live" in rows and scene.table:
        parts.append(f"LEFT {_live(scene.table, deletes=scene.deletes)}")
    if "item" in rows:
        record = f'pg_catalog.jsonb_to_record("run"."item_data") AS "item"({column_definitions(scene.items)})'
        parts.append(f"CROSS JOIN LATERAL {_plain(record)}")
    if "event" in rows:
        parts.append('CROSS JOIN LATERAL (SELECT "run"."event_at") AS "event"("at")')
    return "\n".join(parts)


def _row(name: str, scene: Scene) -> str:
    """Join `new` or `old`, typed as the table's row; columns that were not captured are NULL."""
    assert scene.table is not None  # noqa: S101  # for the type checker: the caller asked
    data = f'"run"."{name}_data"'
    left_out = [c for c in scene.table.columns if c.name not in scene.captured]
    if any(_is_domain(column) for column in left_out):
        # A domain may refuse NULL, so columns that are not in the payload must not be built at all.
        captured = [c for c in scene.table.columns if c.name in scene.captured]
        record = f'pg_catalog.jsonb_to_record({data}) AS "{name}"({column_definitions(captured)})'
    else:
        record = f'pg_catalog.jsonb_populate_record(NULL::{qualified(scene.table.relation)}, {data}) AS "{name}"'
    return f"CROSS JOIN LATERAL {_plain(record)}"


def _is_domain(column: Column) -> bool:
    return column.base != column.type and not column.labels


def _live(table: Table, *, deletes: bool) -> str:
    data = 'coalesce("run"."new_data", "run"."old_data")' if deletes else '"run"."new_data"'
    types = {column.name: column.type for column in table.columns}
    matches = " AND ".join(
        f'"live".{quoted(name)} = CAST({data} ->> {literal(name)} AS {types[name]})' for name in table.primary_key
    )
    return _plain(f'JOIN {qualified(table.relation)} AS "live" ON {matches}')


def _plain(text: str) -> str:
    """Double the `%` that a name may hold: in a statement with parameters it means something."""
    return text.replace("%", "%%")
