"""`tidings uninstall`: takes everything back, also what a half-finished init or uninstall left."""

import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import Connection, sql

from runtime.errors import NotAllowed, Temporary
from runtime.postgres.address import parse_url
from runtime.postgres.locks import LOCK_TIMEOUT, with_lock_retries
from runtime.postgres.server import PostgresServer
from runtime.settings import LOCK_FILE, PROJECT_FILE, SCRATCH_FOLDER, project_exists, read_project
from runtime.setup.grants import Grant, drop_policy, revocations
from runtime.setup.look import rows
from runtime.setup.names import POLICY, Roles, roles_for

_INHERIT_IS_SEPARATE = 160000


@dataclass(frozen=True)
class Remains:
    """What of Tidings is in a database and in a home."""

    roles: tuple[str, ...]
    """Roles that init made: they are dropped."""
    others: tuple[str, ...]
    """Roles that a DBA made for us under other names: their grants are taken back, they stay."""
    schema_owner: str
    hooks: tuple[str, ...]
    """Tables that have a hook."""
    hook_functions: tuple[str, ...]
    policies: tuple[str, ...]
    """Tables that have the reader's policy."""
    grants: frozenset[Grant]
    sessions: int
    """Sessions of our roles: something is still running."""
    project_file: Path | None

    @property
    def nothing(self) -> bool:
        """Return whether there is nothing to remove."""
        found = (self.roles, self.grants, self.schema_owner, self.hooks, self.policies, self.project_file)
        return not any(found)


def find_remains(conn: Connection[Any], home: Path) -> Remains:
    """Return what is left of Tidings; reads only."""
    server = rows(conn, "server")[0]
    file = home / PROJECT_FILE
    named = _project_roles(home, server["database"])
    ours = roles_for(server["database"])
    names = list(dict.fromkeys((*(named or ()), *ours)))
    schema = rows(conn, "schema")
    existing = [row["name"] for row in rows(conn, "roles", names=names)]
    return Remains(
        roles=tuple(name for name in existing if name in ours),
        others=tuple(name for name in existing if name not in ours),
        schema_owner=schema[0]["owner"] if schema and (schema[0]["has_ledger"] or schema[0]["owner"] in names) else "",
        hooks=tuple(dict.fromkeys(row["relation"] for row in rows(conn, "hooks"))),
        hook_functions=tuple(row["function"] for row in rows(conn, "hook_functions")),
        policies=tuple(row["relation"] for row in rows(conn, "policies", policy=POLICY)),
        grants=frozenset(Grant(**row) for row in rows(conn, "granted", names=names)),
        sessions=rows(conn, "sessions", names=names)[0]["sessions"],
        project_file=file if named is not None else None,
    )


def removal_script(remains: Remains) -> str:
    """Return the SQL that removes everything, for somebody with more rights."""
    lines = [f"{drop_policy(relation).sql};" for relation in remains.policies]
    return "\n".join([*lines, *(f"{statement};" for statement in _last_statements(remains)), ""])


def refuse_removal(conn: Connection[Any], remains: Remains) -> None:
    """Refuse where it could only be done by half: something runs, or the connected role may not drop ours."""
    if remains.sessions:
        raise Temporary(
            f"{remains.sessions} session(s) of Tidings are connected. Stop `tidings up` and its workers first."
        )
    if foreign := rows(conn, "owned_elsewhere", names=list(remains.roles)):
        listed = ", ".join(f"{row['object']} ({row['role']})" for row in foreign)
        raise NotAllowed(
            f"Tidings' roles own what is not Tidings': {listed}. Give it another owner first (REASSIGN OWNED)."
        )
    me = rows(conn, "server")[0]
    managed = {row["name"] for row in rows(conn, "roles", names=list(remains.roles)) if row["managed"]}
    if not me["superuser"] and set(remains.roles) - managed:
        raise NotAllowed(
            f"{me['user']} may not drop Tidings' roles. Give the address of the role that ran `tidings init`, "
            f"or have a superuser run this in database {me['database']}:\n{removal_script(remains)}"
        )


def remove(conn: Connection[Any], remains: Remains, progress: Callable[[str], None]) -> None:
    """Remove all of it, table by table and each lock briefly, then schema and roles at once. May be run again."""
    owner = remains.schema_owner
    with conn.transaction():
        _join(conn, remains.roles)
    for function in remains.hook_functions:
        progress(f"Removing the hook {function}")
        _locking(conn, f"DROP FUNCTION {function} CASCADE", owner, what=function)
    for relation in remains.policies:
        progress(f"Removing the policy on {relation}")
        _locking(conn, drop_policy(relation).sql, "", what=relation)
    progress("Removing schema tidings, the grants and the roles")
    try:
        _locking(conn, "; ".join(_last_statements(remains)) or "SELECT", "", what="schema tidings")
    except psycopg.errors.DependentObjectsStillExist as error:
        raise NotAllowed(
            f"The roles are still named in grants that others gave: {error.diag.message_detail}. "
            f"Have a superuser run this:\n{removal_script(remains)}"
        ) from error
    if remains.project_file is not None:
        remains.project_file.unlink(missing_ok=True)
        scratch = remains.project_file.parent / SCRATCH_FOLDER
        PostgresServer(scratch, scratch=True).stop()
        shutil.rmtree(scratch, ignore_errors=True)
        (remains.project_file.parent / LOCK_FILE).unlink(missing_ok=True)
        with suppress(OSError):  # not empty: secrets.env, an embedded server
            remains.project_file.parent.rmdir()


def _last_statements(remains: Remains) -> list[str]:
    statements = ["DROP SCHEMA IF EXISTS tidings CASCADE"] if remains.schema_owner else []
    kept = [grant for grant in remains.grants if grant.role in remains.others]
    statements += [change.sql for change in revocations(kept)]
    quoted = ", ".join(sql.Identifier(role).as_string(None) for role in remains.roles)
    return [*statements, f"DROP OWNED BY {quoted}", f"DROP ROLE {quoted}"] if quoted else statements


def _locking(conn: Connection[Any], statement: str, role: str, *, what: str) -> None:
    """Run one thing that locks a table, waiting for it 100 ms at a time; as the role that owns it, if one is named."""

    def one() -> None:
        with conn.transaction():
            conn.execute("SELECT set_config('lock_timeout', %s, true)", (LOCK_TIMEOUT,))
            if role:
                conn.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(role)))
            conn.execute(statement)

    with_lock_retries(one, what=what)


def _join(conn: Connection[Any], roles: tuple[str, ...]) -> None:
    """Become a member of our roles, as dropping what they own needs; the memberships go with the roles."""
    me = rows(conn, "server")[0]
    if me["superuser"]:
        return
    options = " WITH SET TRUE, INHERIT TRUE" if me["version"] >= _INHERIT_IS_SEPARATE else ""
    for role in roles:
        conn.execute(sql.SQL("GRANT {} TO CURRENT_USER{}").format(sql.Identifier(role), sql.SQL(options)))


def _project_roles(home: Path, database: str) -> Roles | None:
    """Return the roles that project.json names, if it is of this database."""
    if not project_exists(home):
        return None
    project = read_project(home)
    parts = [parse_url(project[key]) for key in ("installer_url", "ledger_url", "reader_url")]
    if {part.get("dbname") for part in parts} != {database}:
        return None
    names = Roles(*(part.get("user", "") for part in parts))
    return names if len(set(names)) == len(names) else roles_for(database)
