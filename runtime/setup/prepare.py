"""`tidings init` as two calls: prepare (reads only, says what would be done) and apply (does it)."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import Connection, sql

from runtime.errors import NotAllowed
from runtime.postgres.address import parse_url
from runtime.settings import EMBEDDED_FOLDER, project_exists, read_project
from runtime.setup.access import Access, known_logins, new_passwords, open_access, remember
from runtime.setup.choice import Before, Wishes
from runtime.setup.install import carry_out, join_role
from runtime.setup.look import connect, look, rows
from runtime.setup.names import Roles, roles_for
from runtime.setup.plan import Plan, make_plan, read_before
from runtime.setup.script import obstacles


@dataclass(frozen=True)
class Preparation:
    """What an init would do, and what it needs in order to do it. Holds secrets."""

    url: str
    home: Path
    plan: Plan
    known: Mapping[str, str]
    """URLs that work already, by role."""
    passwords: Mapping[str, str]
    """Passwords to be set, by role."""
    given: Access | None
    obstacles: tuple[str, ...]
    """Why the connected role can't do it; empty when it can."""

    @property
    def nothing_to_do(self) -> bool:
        """Return whether everything is as it should be, here and in the database."""
        return self.plan.empty and not self.passwords and project_exists(self.home)

    def __repr__(self) -> str:
        """Leave the passwords out."""
        return f"Preparation({self.plan.found.database!r})"


def prepare(home: Path, url: str, wishes: Wishes | None = None, given: Access | None = None) -> Preparation:
    """Look at the database and plan; changes nothing. `given` are the logins that a DBA made."""
    found = look(url)
    if "transaction" in found.pooler:
        raise NotAllowed(
            f"Between this machine and the server stands {found.pooler}: sessions, locks and settings get lost there. "
            "Give the server's direct address (on many platforms the same host with port 5432)."
        )
    roles = _named(given) or roles_for(found.database)
    known = known_logins(home, url, roles)
    if given:
        known = dict(zip(roles, (given.installer_url, given.ledger_url, given.reader_url), strict=True))
    with connect(url) as conn:
        before = _before(conn, known, roles)
        plan = make_plan(conn, found, wishes or Wishes(), roles=roles, before=before)
        if plan.present.has_ledger and before is None and not rows(conn, "readable_choices"):
            raise NotAllowed(
                f"Tidings is set up in {found.database} already, and {found.user} may not see what was approved there. "
                "Give the login that ran `tidings init` before, or set TIDINGS_HOME to where its project.json is."
            )
    passwords = new_passwords(plan, known)
    return Preparation(url, home, plan, known, passwords, given, tuple(obstacles(plan, passwords)))


def apply(preparation: Preparation, *, name: str = "", environment: str = "development") -> Access:
    """Carry the plan out and write project.json; may be run again after an interruption at any point."""
    plan = preparation.plan
    installer_url = preparation.known.get(plan.roles.installer, "")
    with connect(preparation.url) as conn:
        carry_out(
            conn,
            plan,
            preparation.passwords,
            name=name or plan.found.database,
            environment=environment,
            installer_url=installer_url,
        )
        access = preparation.given or open_access(conn, plan, preparation.url, preparation.known, preparation.passwords)
    remember(preparation.home, access, project=name or plan.found.database, embedded=_is_embedded(preparation))
    return access


def _named(given: Access | None) -> Roles | None:
    if given is None:
        return None
    return Roles(*(parse_url(url).get("user", "") for url in (given.installer_url, given.ledger_url, given.reader_url)))


def _before(conn: Connection[Any], known: Mapping[str, str], roles: Roles) -> Before | None:
    """Read earlier choices as the installer, who owns them: by its own login, else by becoming it and undoing that."""
    if roles.installer in known:
        with connect(known[roles.installer]) as installer:
            return read_before(installer)
    refused = (psycopg.errors.UndefinedObject, psycopg.errors.InsufficientPrivilege)
    with suppress(*refused), conn.transaction(force_rollback=True):
        join_role(conn, roles.installer)
        conn.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(roles.installer)))
        return read_before(conn)
    return None


def _is_embedded(preparation: Preparation) -> bool:
    port = preparation.home / EMBEDDED_FOLDER / "port"
    values = parse_url(preparation.url)
    ours = port.exists() and values.get("port") == port.read_text().strip() and values.get("host") == "127.0.0.1"
    return ours or (project_exists(preparation.home) and bool(read_project(preparation.home)["embedded"]))
