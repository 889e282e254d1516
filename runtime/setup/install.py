"""The second half of `tidings init`: carries a plan out. Everything can be run again after an interruption."""

import secrets
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from psycopg import Connection, sql

from runtime.ledger.migrate import migrate
from runtime.postgres.locks import LOCK_TIMEOUT, with_lock_retries
from runtime.setup.grants import Change
from runtime.setup.look import connect, rows, run
from runtime.setup.plan import Plan

PROJECT_ID = 1
_SET_IS_SEPARATE = 160000
"""Since then a membership says whether its member may SET ROLE."""


def carry_out(
    conn: Connection[Any],
    plan: Plan,
    passwords: Mapping[str, str],
    *,
    name: str,
    environment: str,
    installer_url: str = "",
) -> None:
    """Do everything: roles, grants, schema and approvals in one transaction, then the policies.

    `passwords` are those to set, in clear, by role; they travel hashed. The installer's part is done by becoming it, or
    through `installer_url` where a DBA made the roles. A lock on a table is waited for 100 ms at most, some times over.
    """

    def everything() -> None:
        with conn.transaction():
            _pin(conn)
            _set_roles(conn, plan, passwords)
            _join(conn, plan.roles.installer, plan, needed=bool(plan.schema) or not installer_url)
            for change in (*plan.schema, *plan.grants, *plan.revokes):
                conn.execute(change.sql)
            if not installer_url:
                conn.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(plan.roles.installer)))
                fill_schema(conn, plan, name=name, environment=environment)
                conn.execute("RESET ROLE")
            _leave(conn, plan.roles.installer, plan, joined=bool(plan.schema) or not installer_url)

    with_lock_retries(everything)
    if installer_url:
        with connect(installer_url) as installer, installer.transaction():
            fill_schema(installer, plan, name=name, environment=environment)
    _apply_policies(conn, plan.policies)


def fill_schema(conn: Connection[Any], plan: Plan, *, name: str, environment: str) -> None:
    """Do the installer's part, as the installer: tables, the ledger's rights, the project's row and the approvals."""
    migrate(conn)
    for row in rows(conn, "ledger_grants", ledger=plan.roles.ledger):
        conn.execute(row["statement"])
    project = {"project_id": PROJECT_ID}
    run(conn, "create_project", **project, name=name, environment=environment, secret=secrets.token_bytes(32))
    run(conn, "approve", **project, relations=list(plan.approve))
    run(conn, "withdraw", **project, relations=list(plan.withdraw))
    run(conn, "forget_declined", **project)
    run(conn, "decline", **project, relations=list(plan.choice.declined))
    gone = [path for path, kind in plan.addresses.items() if kind is None]
    kept = {path: str(kind) for path, kind in plan.addresses.items() if kind is not None}
    run(conn, "withdraw_addresses", **project, **_split(gone))
    run(conn, "approve_addresses", **project, **_split(kept), kinds=list(kept.values()))


def join_roles(conn: Connection[Any], plan: Plan) -> None:
    """Let the connected role become each of ours, for good: where ours can't log in by themselves."""
    with conn.transaction():
        for role in plan.roles:
            _join(conn, role, plan, needed=True)


def join_role(conn: Connection[Any], role: str) -> None:
    """Make the connected role a member of a role it manages, able to become it."""
    options = " WITH SET TRUE" if conn.info.server_version >= _SET_IS_SEPARATE else ""
    conn.execute(sql.SQL("GRANT {} TO CURRENT_USER{}").format(sql.Identifier(role), sql.SQL(options)))


def _pin(conn: Connection[Any]) -> None:
    conn.execute(
        "SELECT set_config('search_path', 'pg_catalog', true), set_config('lock_timeout', %s, true)", (LOCK_TIMEOUT,)
    )


def _set_roles(conn: Connection[Any], plan: Plan, passwords: Mapping[str, str]) -> None:
    """Create what is missing and set passwords; only their hash leaves this process, so that no log can hold them."""
    for role in plan.roles:
        if role in passwords:
            hashed = conn.pgconn.encrypt_password(passwords[role].encode(), role.encode(), b"scram-sha-256").decode()
            verb = "ALTER" if role in plan.present.existing else "CREATE"
            statement = sql.SQL("{} ROLE {} LOGIN PASSWORD {}")
            conn.execute(statement.format(sql.SQL(verb), sql.Identifier(role), sql.Literal(hashed)))
    for change in plan.create_roles:
        if change.action == "SET":
            conn.execute(change.sql)


def _join(conn: Connection[Any], role: str, plan: Plan, *, needed: bool) -> None:
    """Become able to act as a role; superusers are already, and so is a member."""
    if needed and not plan.found.superuser and role not in plan.present.members:
        join_role(conn, role)


def _leave(conn: Connection[Any], role: str, plan: Plan, *, joined: bool) -> None:
    if not joined or plan.found.superuser or role in plan.present.members:
        return
    conn.execute(sql.SQL("REVOKE {} FROM CURRENT_USER").format(sql.Identifier(role)))


def _apply_policies(conn: Connection[Any], changes: Sequence[Change]) -> None:
    """Add or drop the reader's policies, each in a transaction of its own: it locks the whole table for an instant."""
    for change in changes:

        def one(statement: str = change.sql) -> None:
            with conn.transaction():
                _pin(conn)
                conn.execute(statement)

        with_lock_retries(one, what=change.object)


def _split(paths: Collection[str]) -> dict[str, list[str]]:
    parts = [path.rpartition(".") for path in paths]
    return {"relations": [relation for relation, _, _ in parts], "columns": [column for _, _, column in parts]}
