"""A hook's triggers: the only part of it that locks a table, once, for an instant, and one table at a time.

CREATE TRIGGER needs a moment in which nobody writes the table, and whoever wants to write it meanwhile queues behind.
So triggers are put on before anything depends on them, each table in a transaction of its own: several tables never add
up to one long wait. Their functions do nothing until a publish replaces them, which locks no table.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import Connection, sql
from psycopg.rows import dict_row

from runtime.capture.hook import (
    Hook,
    counter_names,
    function_name,
    function_sql,
    trigger_name,
    trigger_sql,
    watched_operations,
)
from runtime.ledger.queries import load_queries
from runtime.spec.schema import Table

_QUERIES = load_queries("runtime.capture")


@dataclass(frozen=True)
class Watched:
    """A table with a hook, or one of its partitions."""

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

    def missing(self, hook_id: int, operations: Iterable[str]) -> list[str]:
        """Return the operations that have no trigger here."""
        return [op for op in operations if trigger_name(hook_id, op) not in self.triggers]


def read_watched(conn: Connection[Any], relation: str) -> list[Watched]:
    """Return the table and its partitions, the table first; nothing when it is not there."""
    schema, _, name = relation.partition(".")
    with conn.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute(_QUERIES["watched"], {"schema": schema, "name": name}).fetchall()
    return [Watched(**row) for row in found]


def lacking(conn: Connection[Any], project_id: int, table: Table, operations: Iterable[str]) -> list[str]:
    """Return the table and partitions (schema.name) that lack a trigger for one of the operations.

    What add_triggers could not do anyway, or install_hook is going to refuse with a reason, is left out.
    """
    watched = read_watched(conn, table.relation)
    if not watched or watched[0].kind not in ("r", "p") or any(each.kind == "f" for each in watched):
        return []
    found = conn.execute(_QUERIES["find_hook"], {"project_id": project_id, "relation": table.relation}).fetchone()
    wanted = watched_operations([*operations, *(found[1] if found else ())])
    return [str(each) for each in watched if each.allowed and (not found or each.missing(found[0], wanted))]


def add_triggers(
    conn: Connection[Any], project_id: int, table: Table, operations: Iterable[str], *, place: str
) -> None:
    """Put the triggers that one table or partition lacks on it; the hook does nothing more than before.

    In the caller's transaction, as the owner of schema tidings, under the caller's lock_timeout: commit at once, for
    the table can't be written until then. Idempotent; two at once follow each other.
    """
    values = {"project_id": project_id, "relation": table.relation, "key_columns": list(table.primary_key)}
    hook_id, installed = conn.execute(_QUERIES["claim_hook"], values).fetchall()[0]
    wanted = watched_operations([*operations, *installed])
    create_counters(conn, hook_id)
    for op in wanted:
        if conn.execute(_QUERIES["find_function"], {"function": function_name(hook_id, op)}).fetchone() is None:
            create_function(conn, Hook(hook_id, 0, project_id, (), (), {}), op)
    for each in read_watched(conn, table.relation):
        if str(each) == place:
            create_triggers(conn, hook_id, each, wanted)


def create_counters(conn: Connection[Any], hook_id: int) -> None:
    """Create the sequences that count what the hook did not capture, where they are missing."""
    for counter in counter_names(hook_id):
        conn.execute(sql.SQL(_QUERIES["create_counter"]).format(counter=sql.Identifier("tidings", counter)))


def create_function(conn: Connection[Any], hook: Hook, operation: str) -> None:
    """Create or replace the function of one operation, for nobody else to use."""
    conn.execute(sql.SQL(function_sql(hook, operation)))
    name = sql.Identifier("tidings", function_name(hook.id, operation))
    conn.execute(sql.SQL(_QUERIES["close_function"]).format(function=name))


def create_triggers(conn: Connection[Any], hook_id: int, place: Watched, operations: Sequence[str]) -> None:
    """Create what is missing of the operations' triggers on one table."""
    for op in place.missing(hook_id, operations):
        conn.execute(sql.SQL(trigger_sql(hook_id, op, (place.schema, place.name))))


def holders(conn: Connection[Any], relation: str) -> str:
    """Return who keeps triggers off a table (schema.name), in words; empty when nobody does any more."""
    with conn.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(_QUERIES["who_holds"], {"relation": relation}).fetchall()
    return "; ".join(_holder(row) for row in rows)


def _holder(row: dict[str, Any]) -> str:
    if row["pid"] is None:
        return "a prepared transaction (pg_prepared_xacts lists them)"
    if row["vacuum"]:
        return f"autovacuum (pid {row['pid']}), which ends by itself"
    who = row["application"] or row["user"] or "unknown"
    began = f", in its transaction since {row['transaction_began']} UTC" if row["transaction_began"] else ""
    asked = f", its last query began {row['query_began']} UTC" if row["query_began"] else ""
    return f"pid {row['pid']} ({who}){began}{asked}"
