"""What the three roles need on the user's objects, as a set: what is missing and what is too much are differences."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import LiteralString, NamedTuple

from psycopg import sql

from runtime.setup.look import FoundTable
from runtime.setup.names import POLICY, Roles

_WHY = {
    ("reader", "SELECT"): "so that workflows can read it",
    ("installer", "TRIGGER"): "so that publishing can put a hook on it",
    ("reader", "USAGE"): "without it no table in the schema can be named",
    ("ledger", "USAGE"): "to read captured rows as the table's type",
    ("installer", "USAGE"): "to name the table that gets a hook",
    ("installer", "CONNECT"): "to log in",
    ("ledger", "CONNECT"): "to log in",
    ("reader", "CONNECT"): "to log in",
}


class Grant(NamedTuple):
    """One privilege for one role."""

    role: str
    kind: str
    """database, schema, table or column."""
    object: str
    """The database, the schema, or schema.table."""
    privilege: str
    column: str = ""


class Change(NamedTuple):
    """A statement with the reason for it."""

    action: str
    """CREATE ROLE, SET, CREATE SCHEMA, SELECT, TRIGGER, USAGE, CONNECT, REVOKE, CREATE POLICY or DROP POLICY."""
    object: str
    """The role, schema, database or schema.table it is about."""
    sql: str
    why: str


def needed(tables: Sequence[FoundTable], roles: Roles, *, database: str = "") -> set[Grant]:
    """Return every grant on the user's objects; with a database, also to connect to it.

    Columns that look secret are left out by granting the others one by one, because a table's grant covers all of them.
    """
    grants = {Grant(role, "database", database, "CONNECT") for role in roles if database}
    for found in tables:
        table = found.table
        grants |= {Grant(role, "schema", table.schema_name, "USAGE") for role in roles}
        if found.secret_columns:
            readable = set(found.column_names) - set(found.secret_columns)
            grants |= {Grant(roles.reader, "column", table.relation, "SELECT", name) for name in readable}
        else:
            grants.add(Grant(roles.reader, "table", table.relation, "SELECT"))
        if table.kind in ("table", "partitioned"):
            watched = (table.relation, *table.partitions)
            grants |= {Grant(roles.installer, "table", relation, "TRIGGER") for relation in watched}
            leaf_schemas = {relation.split(".", 1)[0] for relation in table.partitions}
            grants |= {Grant(roles.installer, "schema", name, "USAGE") for name in leaf_schemas}
    return grants


def statements(grants: Iterable[Grant], roles: Roles) -> list[Change]:
    """Return GRANT statements, one per role, object and privilege, in a stable order."""
    kinds = dict(zip(roles, Roles._fields, strict=True))
    changes: list[Change] = []
    for grant, names in _by_object(grants):
        text = _statement("GRANT {} ON {}{} TO {}", grant, names)
        changes.append(Change(grant.privilege, grant.object, text, _WHY[kinds[grant.role], grant.privilege]))
    return changes


def revocations(grants: Iterable[Grant]) -> list[Change]:
    """Return the statements that take grants back."""
    return [
        Change("REVOKE", grant.object, _statement("REVOKE {} ON {}{} FROM {}", grant, names), "no longer needed")
        for grant, names in _by_object(grants)
    ]


def policy(relation: str, roles: Roles) -> Change:
    """Return the statement that lets the reader see the rows of a table with row security."""
    create = sql.SQL("CREATE POLICY {} ON {} FOR SELECT TO {} USING (true)")
    text = create.format(sql.Identifier(POLICY), _name(relation), sql.Identifier(roles.reader)).as_string(None)
    return Change("CREATE POLICY", relation, text, "row security hides every row from a role without a policy")


def drop_policy(relation: str) -> Change:
    """Return the statement that takes the reader's policy back."""
    drop = sql.SQL("DROP POLICY IF EXISTS {} ON {}").format(sql.Identifier(POLICY), _name(relation))
    return Change("DROP POLICY", relation, drop.as_string(None), "the table is no longer read")


def _by_object(grants: Iterable[Grant]) -> list[tuple[Grant, list[str]]]:
    """Put the columns of a table together; databases first, then schemas, then tables by role."""
    columns: defaultdict[Grant, list[str]] = defaultdict(list)
    for grant in grants:
        columns[grant._replace(column="")].append(grant.column)
    order = {"database": 0, "schema": 1, "table": 2, "column": 2}
    objects = sorted(columns, key=lambda grant: (order[grant.kind], grant.role, grant))
    return [(grant, sorted(columns[grant])) for grant in objects]


def _statement(pattern: LiteralString, grant: Grant, columns: list[str]) -> str:
    listed = sql.SQL(", ").join(map(sql.Identifier, columns))
    what = sql.SQL("{} ({})").format(sql.SQL(grant.privilege), listed) if columns != [""] else sql.SQL(grant.privilege)
    on = {"database": "DATABASE ", "schema": "SCHEMA "}.get(grant.kind, "")
    name = sql.Identifier(grant.object) if on else _name(grant.object)
    return sql.SQL(pattern).format(what, sql.SQL(on), name, sql.Identifier(grant.role)).as_string(None)


def _name(relation: str) -> sql.Identifier:
    return sql.Identifier(*relation.split(".", 1))
