"""The plan of an init: every statement with its reason, before anything is changed; empty when nothing is to do."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from psycopg import Connection, sql

from runtime.errors import Conflict
from runtime.setup import grants
from runtime.setup.choice import Before, Choice, Wishes, choose
from runtime.setup.grants import Change, Grant
from runtime.setup.look import Found, rows
from runtime.setup.names import POLICY, Roles, roles_for
from runtime.spec.schema import AddressKind


@dataclass(frozen=True)
class Present:
    """What earlier set-ups left in the database."""

    existing: frozenset[str]
    """Which of the three roles exist."""
    members: frozenset[str]
    """Those that the connected role may become."""
    managed: frozenset[str]
    """Those whose password the connected role may set."""
    granted: frozenset[Grant]
    policies: frozenset[str]
    schema_owner: str
    """Empty when there is no schema tidings."""
    has_ledger: bool
    before: Before


@dataclass(frozen=True)
class Plan:
    """What an init will do, in this order."""

    found: Found
    roles: Roles
    choice: Choice
    present: Present
    create_roles: tuple[Change, ...]
    schema: tuple[Change, ...]
    grants: tuple[Change, ...]
    revokes: tuple[Change, ...]
    policies: tuple[Change, ...]
    approve: tuple[str, ...]
    withdraw: tuple[str, ...]
    addresses: Mapping[str, AddressKind | None]
    """Address columns that change: what they become, None for no longer."""

    @property
    def administration(self) -> tuple[Change, ...]:
        """Return what the connected role, or a DBA in its place, has to do."""
        return (*self.create_roles, *self.schema, *self.grants, *self.revokes, *self.policies)

    @property
    def empty(self) -> bool:
        """Return whether everything is as it should be."""
        changes = (self.administration, self.approve, self.withdraw, self.addresses)
        return not any(changes) and self.present.has_ledger


def make_plan(
    conn: Connection[Any], found: Found, wishes: Wishes, *, roles: Roles | None = None, before: Before | None = None
) -> Plan:
    """Compare what is with what should be; reads only.

    `roles` are given when a DBA named them, `before` when the connected role may not read the ledger and another may.
    """
    names = roles or roles_for(found.database)
    present = read_present(conn, names, before)
    if present.schema_owner and not present.has_ledger and present.schema_owner != names.installer:
        raise Conflict(
            f"There is a schema tidings that belongs to {present.schema_owner!r} and is not ours. "
            "Rename or drop it, then run init again."
        )
    choice = choose(found, wishes, present.before, _attainable(found, names, present))
    wanted = grants.needed(choice.tables, names, database="" if found.anybody_may_connect else found.database)
    secured = {table.relation for table in choice.tables if table.row_security}
    chosen = {table.relation for table in choice.tables}
    refused = {table.relation for table in found.tables} - chosen
    return Plan(
        found=found,
        roles=names,
        choice=choice,
        present=present,
        create_roles=_create_roles(names, present),
        schema=creation(names, present),
        grants=tuple(grants.statements(wanted - present.granted, names)),
        revokes=tuple(grants.revocations(_surplus(present.granted - wanted, found))),
        policies=(
            *(grants.policy(relation, names) for relation in sorted(secured - present.policies)),
            *(grants.drop_policy(relation) for relation in sorted(present.policies & refused)),
        ),
        approve=tuple(sorted(chosen - present.before.approved)),
        withdraw=tuple(sorted(present.before.approved & refused)),
        addresses=_difference(present.before.addresses, choice.addresses, refused | chosen),
    )


def _attainable(found: Found, roles: Roles, present: Present) -> frozenset[str]:
    """Return the tables on which our roles have what they need, or the connected role can give it to them.

    Where that role can't set Tidings up at all, a DBA is going to run the script, and may give everything.
    """
    missing = set(roles) - present.existing
    if (missing and not found.may_create_roles) or not (present.schema_owner or found.may_create_schema):
        return frozenset(table.relation for table in found.tables)
    readable = {grant.object for grant in present.granted if (grant.role, grant.privilege) == (roles.reader, "SELECT")}
    return frozenset(
        table.relation
        for table in found.tables
        if (table.may_grant or table.relation in readable)
        and (table.owned or not table.row_security or table.relation in present.policies)
    )


def read_present(conn: Connection[Any], roles: Roles, before: Before | None = None) -> Present:
    """Return what is there of ours; works on a database that has never seen Tidings, or half of it."""
    names = list(roles)
    known = rows(conn, "roles", names=names)
    schema = rows(conn, "schema")
    return Present(
        existing=frozenset(row["name"] for row in known),
        members=frozenset(row["name"] for row in known if row["member"]),
        managed=frozenset(row["name"] for row in known if row["managed"]),
        granted=frozenset(Grant(**row) for row in rows(conn, "granted", names=names)),
        policies=frozenset(row["relation"] for row in rows(conn, "policies", policy=POLICY)),
        schema_owner=schema[0]["owner"] if schema else "",
        has_ledger=bool(schema and schema[0]["has_ledger"]),
        before=before
        or (read_before(conn) if schema and schema[0]["has_ledger"] and schema[0]["usable"] else Before()),
    )


def read_before(conn: Connection[Any]) -> Before:
    """Read earlier choices; none if there is no ledger, or the connected role may not read it."""
    if not rows(conn, "readable_choices"):
        return Before()
    found = rows(conn, "choices", project_id=1)
    return Before(
        approved=frozenset(row["relation"] for row in found if row["choice"] == "approved"),
        declined=frozenset(row["relation"] for row in found if row["choice"] == "declined"),
        addresses={
            f"{row['relation']}.{row['column']}": AddressKind(row["kind"])
            for row in found
            if row["choice"] == "address"
        },
    )


def _create_roles(roles: Roles, present: Present) -> tuple[Change, ...]:
    why = {
        roles.installer: "owns schema tidings and the hooks; used only while setting up and publishing",
        roles.ledger: "reads and writes Tidings' own tables, none of yours",
        roles.reader: "reads the tables you approve, writes nothing",
    }
    changes: list[Change] = []
    for role in roles:
        if role not in present.existing:
            create = sql.SQL("CREATE ROLE {} LOGIN PASSWORD '…'").format(sql.Identifier(role))
            changes.append(Change("CREATE ROLE", role, create.as_string(None), why[role]))
    if roles.reader not in present.existing:
        alter = sql.SQL("ALTER ROLE {} SET default_transaction_read_only = on").format(sql.Identifier(roles.reader))
        changes.append(Change("SET", roles.reader, alter.as_string(None), "a second lock on the same door"))
    return tuple(changes)


def creation(roles: Roles, present: Present) -> tuple[Change, ...]:
    """Return the statement that creates schema tidings, if there is none."""
    if present.schema_owner:
        return ()
    create = sql.SQL("CREATE SCHEMA tidings AUTHORIZATION {}").format(sql.Identifier(roles.installer))
    return (
        Change("CREATE SCHEMA", "tidings", create.as_string(None), "holds all of Tidings' own tables and functions"),
    )


def _surplus(granted: frozenset[Grant], found: Found) -> set[Grant]:
    """Return what to take back: rights on tables that we see. Those to log in or to a schema do no harm."""
    seen = {relation for table in found.tables for relation in (table.relation, *table.table.partitions)}
    return {grant for grant in granted if grant.kind in ("table", "column") and grant.object in seen}


def _difference(
    before: Mapping[str, AddressKind], after: Mapping[str, AddressKind], seen: set[str]
) -> dict[str, AddressKind | None]:
    changed: dict[str, AddressKind | None] = {path: kind for path, kind in after.items() if before.get(path) != kind}
    return changed | {path: None for path in before if path not in after and path.rpartition(".")[0] in seen}
