"""Puts a table's hook into the user's database, or brings it up to date."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import Connection
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from runtime.capture.hook import Hook, merged_prefilters, watched_operations
from runtime.capture.room import open_room
from runtime.capture.triggers import Watched, create_counters, create_function, create_triggers, read_watched
from runtime.errors import NotAllowed, NotFound
from runtime.ledger.queries import load_queries
from runtime.spec.compiled import Match
from runtime.spec.schema import Column, Table

_QUERIES = load_queries("runtime.capture")


@dataclass(frozen=True)
class Installed:
    """The hook as it is from the caller's commit on."""

    hook_id: int
    generation: int
    """What events of this very body carry."""


def install_hook(
    conn: Connection[Any], project_id: int, table: Table, matches: Sequence[Match], *, locks: bool = True
) -> Installed:
    """Make the table's hook capture what any of the matches needs; without matches it captures nothing and stays.

    Runs in the caller's transaction, as the owner of schema tidings, under the caller's lock_timeout. Each call begins
    a new generation. Functions are replaced without a lock on the table; only a trigger that is missing takes one
    (SHARE ROW EXCLUSIVE), on the table and on each of its partitions: put them on before, see triggers.py. Without
    `locks` none is put on, and nothing is refused. NotFound or NotAllowed when it can't be done.
    """
    watched = read_watched(conn, table.relation)
    prefilters = merged_prefilters([match.prefilter for match in matches])
    row = _next_generation(conn, project_id, table)
    hook = Hook(
        id=row["id"],
        generation=row["generation"],
        project_id=project_id,
        key=_columns(table, table.primary_key),
        columns=_columns(table, {name for match in matches for name in match.hook_columns}),
        prefilters=prefilters,
        partitioned=bool(watched) and watched[0].kind == "p",
    )
    locks = locks and bool(prefilters)  # a hook is put to rest even where its table is gone
    if locks:
        _refuse(watched, table.relation, hook)
    ops = watched_operations([*prefilters, *row["installed_ops"]])
    create_counters(conn, hook.id)
    open_room(conn, project_id)
    for op in ops:
        create_function(conn, hook, op)
    for each in watched if locks else ():
        create_triggers(conn, hook.id, each, watched_operations(prefilters))
    _record(conn, hook, ops)
    return Installed(hook.id, hook.generation)


def _refuse(watched: Sequence[Watched], relation: str, hook: Hook) -> None:
    """Refuse what can't have a hook, or must not: Postgres fails writes to foreign tables below a hooked one."""
    if not watched:
        raise NotFound(f"There is no table {relation}. It was dropped or renamed: correct the workflow's trigger.")
    if watched[0].kind not in ("r", "p"):
        raise NotAllowed(f"{relation} is not a table, so no change of it can be captured. Watch the tables behind it.")
    if foreign := [str(each) for each in watched if each.kind == "f"]:
        raise NotAllowed(
            f"Below {relation} are foreign tables: {', '.join(foreign)}. With a hook, Postgres would refuse writes to "
            "them. Detach them, or watch the partitions that are tables one by one."
        )
    if virtual := [column.name for column in hook.columns if column.name in watched[0].virtual]:
        raise NotAllowed(
            f"Postgres does not show virtual generated columns to a trigger: {', '.join(virtual)} of {relation}. "
            "Write what they are computed from instead."
        )
    if closed := [
        str(each) for each in watched if not each.allowed and each.missing(hook.id, watched_operations(hook.prefilters))
    ]:
        raise NotAllowed(
            f"The installer may not put a trigger on {', '.join(closed)}. "
            "Run `tidings doctor --grants` and have the owner run what it prints."
        )


def _columns(table: Table, names: Sequence[str] | set[str]) -> tuple[Column, ...]:
    """Return the columns of those names: a set in the table's order, a sequence in its own."""
    if isinstance(names, set):
        return tuple(column for column in table.columns if column.name in names)
    return tuple(column for name in names if (column := table.column(name)))


def _record(conn: Connection[Any], hook: Hook, ops: Sequence[str]) -> None:
    definition = {"columns": [column.name for column in hook.columns], "prefilters": dict(hook.prefilters)}
    values = {"project_id": hook.project_id, "id": hook.id, "ops": list(ops), "definition": Jsonb(definition)}
    conn.execute(_QUERIES["record_hook"], values)


def _next_generation(conn: Connection[Any], project_id: int, table: Table) -> dict[str, Any]:
    """Return the hook's row with its new generation; it is created with the first."""
    values = {"project_id": project_id, "relation": table.relation, "key_columns": list(table.primary_key)}
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(_QUERIES["next_generation"], values).fetchall()[0]
