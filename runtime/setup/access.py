"""How Tidings' roles log in, and where that is remembered: project.json."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg
from psycopg import Connection

from runtime.errors import Conflict, NotAllowed
from runtime.postgres.address import parse_url, with_login, with_role, without_password
from runtime.settings import project_exists, read_project, write_project
from runtime.setup.install import join_roles
from runtime.setup.look import first_line
from runtime.setup.names import Roles
from runtime.setup.plan import Plan


@dataclass(frozen=True)
class Access:
    """A URL for each role, and what a person should know about them."""

    installer_url: str
    ledger_url: str
    reader_url: str
    note: str = ""


def known_logins(home: Path, url: str, roles: Roles) -> dict[str, str]:
    """Return the URLs in project.json that work, by role. Refuses a home that holds another database's project."""
    if not project_exists(home):
        return {}
    project = read_project(home)
    if _place(project["ledger_url"]) != _place(url):
        raise Conflict(
            f"{home} holds the project of {without_password(project['ledger_url'])}. "
            "Set TIDINGS_HOME to another folder, or run `tidings uninstall` for that one first."
        )
    urls = dict(zip(roles, (project["installer_url"], project["ledger_url"], project["reader_url"]), strict=True))
    return {
        role: known
        for role, known in urls.items()
        if parse_url(known).get("user") == role and _logs_in(known, role) is None
    }


def new_passwords(plan: Plan, known: Mapping[str, str]) -> dict[str, str]:
    """Return a fresh password for every role that nobody here can log in as."""
    return {role: secrets.token_urlsafe(24) for role in plan.roles if role not in known}


def open_access(
    conn: Connection[Any], plan: Plan, url: str, known: Mapping[str, str], passwords: Mapping[str, str]
) -> Access:
    """Return how each role logs in: by itself, else as the given login that becomes it (peer, some poolers)."""
    urls = {role: known.get(role) or with_login(url, role, passwords[role]) for role in plan.roles}
    refused = next((reason for role, own in urls.items() if (reason := _logs_in(own, role)) is not None), None)
    if refused is None:
        return Access(*urls.values())
    join_roles(conn, plan)
    urls = {role: with_role(url, role) for role in plan.roles}
    still = next((reason for role, own in urls.items() if (reason := _logs_in(own, role)) is not None), None)
    if still is not None:
        raise NotAllowed(
            f"Tidings' roles were made but can't log in: {refused}. Let them in (pg_hba.conf), "
            "or give the server's direct address if this is a pooler's, and run `tidings init` again."
        )
    note = (
        f"The roles can't log in by themselves ({refused}), so Tidings logs in as {plan.found.user} and becomes them. "
        "That login's own rights stay within its reach; let the roles in and run `tidings init` again to end that."
    )
    return replace(Access(*urls.values()), note=note)


def given_access(installer_url: str, ledger_url: str, reader_url: str) -> Access:
    """Return the access that a DBA gave us, after trying each."""
    for option, url in (("installer", installer_url), ("ledger", ledger_url), ("reader", reader_url)):
        reason = _logs_in(url, parse_url(url).get("user", ""))
        if reason is not None:
            raise NotAllowed(
                f"--{option}-url does not log in: {reason}. Ask for the role's password, and whether it may LOGIN."
            )
    return Access(installer_url, ledger_url, reader_url)


def remember(home: Path, access: Access, *, project: str, embedded: bool) -> Path:
    """Write project.json; an existing console token is kept, so that open tabs and clients go on working."""
    token = read_project(home)["console_token"] if project_exists(home) else secrets.token_urlsafe(24)
    return write_project(
        home,
        project=project,
        installer_url=access.installer_url,
        ledger_url=access.ledger_url,
        reader_url=access.reader_url,
        console_token=token,
        embedded=embedded,
    )


def _logs_in(url: str, role: str) -> str | None:
    """Return why a URL does not lead to a session of that role, None if it does."""
    try:
        with psycopg.connect(url, connect_timeout=10, application_name="tidings setup") as conn:
            found = conn.execute("SELECT current_user").fetchone()
    except psycopg.OperationalError as error:
        return first_line(error)
    return None if found == (role,) else f"it is a session of {found and found[0]}"


def _place(url: str) -> tuple[str, str, str]:
    values = parse_url(url)
    host = values.get("host", "localhost").replace("127.0.0.1", "localhost")
    return host, values.get("port", "5432"), values.get("dbname", "")
