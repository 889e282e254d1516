"""Puts a table's hook into the user's database, or brings it up to date."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import Connection, sql
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from runtime.capture.hook import (
    OPERATIONS,
    Hook,
    counter_names,
    function_name,
    function_sql,
    merged_prefilters,
    trigger_name,
    trigger_sql,
)
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


@dataclass(frozen=True)
class _Watched:
    """The table or one of its partitions."""

    schema: str
    name: str
    kind: str
    root: bool
    allowed: bool
    triggers: list[str]
    virtual: list[str]
    """Generated columns that are not stored: a trigger can't see them."""

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"


def install_hook(conn: Connection[Any], project_id: int, table: Table, matches: Sequence[Match]) -> Installed:
    """Make the table's hook capture what any of the matches needs; without matches it captures nothing and stays.

    Runs in the caller's transaction, as the owner of schema tidings, under the caller's lock_timeout. Each call begins
    a new generation. Functions are replaced without a lock on the table; only a trigger that is missing takes one
    (SHARE ROW EXCLUSIVE), on the table and on each of its partitions. NotFound or NotAllowed when it can't be done.
    """
    watched = _watched(conn, table.relation)
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
    if prefilters:  # a hook that shall capture nothing any more is put to rest even where its table is gone
        _refuse(watched, table.relation, hook)
    ops = [op for op in OPERATIONS if op in prefilters or op in row["installed_ops"]]
    _create_functions(conn, hook, ops)
    _create_triggers(conn, hook, watched)
    _record(conn, hook, ops)
    return Installed(hook.id, hook.generation)


def _watched(conn: Connection[Any], relation: str) -> list[_Watched]:
    schema, _, name = relation.partition(".")
    with conn.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute(_QUERIES["watched"], {"schema": schema, "name": name}).fetchall()
    return [_Watched(**row) for row in found]


def _refuse(watched: Sequence[_Watched], relation: str, hook: Hook) -> None:
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
    if closed := [str(each) for each in watched if not each.allowed and _missing(each, hook)]:
        raise NotAllowed(
            f"The installer may not put a trigger on {', '.join(closed)}. "
            "Run `tidings doctor --grants` and have the owner run what it prints."
        )


def _columns(table: Table, names: Sequence[str] | set[str]) -> tuple[Column, ...]:
    """Return the columns of those names: a set in the table's order, a sequence in its own."""
    if isinstance(names, set):
        return tuple(column for column in table.columns if column.name in names)
    return tuple(column for name in names if (column := table.column(name)))


def _create_functions(conn: Connection[Any], hook: Hook, ops: Sequence[str]) -> None:
    for counter in counter_names(hook.id):
        conn.execute(sql.SQL(_QUERIES["create_counter"]).format(counter=sql.Identifier("tidings", counter)))
    for op in ops:
        conn.execute(sql.SQL(function_sql(hook, op)))
        name = sql.Identifier("tidings", function_name(hook.id, op))
        conn.execute(sql.SQL(_QUERIES["close_function"]).format(function=name))


def _create_triggers(conn: Connection[Any], hook: Hook, watched: Sequence[_Watched]) -> None:
    for each in watched:
        for op in _missing(each, hook):
            conn.execute(sql.SQL(trigger_sql(hook.id, op, (each.schema, each.name))))


def _missing(watched: _Watched, hook: Hook) -> list[str]:
    return [op for op in hook.prefilters if trigger_name(hook.id, op) not in watched.triggers]


def _record(conn: Connection[Any], hook: Hook, ops: Sequence[str]) -> None:
    definition = {"columns": [column.name for column in hook.columns], "prefilters": dict(hook.prefilters)}
    values = {"project_id": hook.project_id, "id": hook.id, "ops": list(ops), "definition": Jsonb(definition)}
    conn.execute(_QUERIES["record_hook"], values)


def _next_generation(conn: Connection[Any], project_id: int, table: Table) -> dict[str, Any]:
    """Return the hook's row with its new generation; it is created with the first."""
    values = {"project_id": project_id, "relation": table.relation, "key_columns": list(table.primary_key)}
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(_QUERIES["next_generation"], values).fetchall()[0]
