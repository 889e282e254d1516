"""The project: one source database with its settings, and the binding that keeps a copied database from sending."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from psycopg import Connection
from psycopg.rows import class_row, dict_row

from runtime.clock import Clock, ShiftedClock, SystemClock
from runtime.errors import NotAllowed, NotFound
from runtime.ledger.queries import load_queries

_QUERIES = load_queries("runtime.ledger")


@dataclass(frozen=True)
class Project:
    """The project's row as it was when it was read."""

    id: int
    name: str
    environment: str
    mode: str
    """inbox or production; outside production nothing leaves the machine but to allowed addresses."""
    zone: str
    clock_shift: timedelta
    held_reason: str | None
    """Set while everything is held until a person decides."""
    live_generation: int
    """Grows with each publish, unpublish and pause: what is live must be read again."""
    system_identifier: str
    database_name: str


def load_project(conn: Connection[Any], project_id: int) -> Project:
    """Return the project, or raise NotFound."""
    with conn.cursor(row_factory=class_row(Project)) as cursor:
        project = cursor.execute(_QUERIES["load_project"], {"project_id": project_id}).fetchone()
    if project is None:
        raise NotFound(f"The ledger has no project {project_id}. Run `tidings init` again; it repairs what is missing.")
    return project


def clock_for(project: Project) -> Clock:
    """Return the clock the project's processes go by: the machine's, or the demo's shifted one."""
    return ShiftedClock(project.clock_shift) if project.clock_shift else SystemClock()


def advance_clock(conn: Connection[Any], project_id: int, by: timedelta) -> None:
    """Move the project's clock forward; refused in production mode and backwards."""
    if by < timedelta():
        raise NotAllowed(f"The clock can't go back by {-by}. Give a duration forward.")
    if conn.execute(_QUERIES["advance_clock"], {"project_id": project_id, "by": by}).fetchone() is None:
        load_project(conn, project_id)
        raise NotAllowed(
            "The clock of a project in production mode is the real one. Use a rehearsal or the demo instead."
        )


def check_binding(conn: Connection[Any], project: Project, environment: str) -> str | None:
    """Return why everything must be held: this state was made for another cluster, database, copy or environment."""
    with conn.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute(_QUERIES["read_binding"], {"project_id": project.id}).fetchone()
    if found is None:
        raise NotFound(f"The ledger has no project {project.id}. Run `tidings init` again; it repairs what is missing.")
    reason = _difference(found)
    if reason is None and project.environment != environment:
        reason = (
            f"It was set up as {project.environment!r} and this process runs as {environment!r} (TIDINGS_ENVIRONMENT)."
        )
    return reason and f"{reason} Nothing is sent until a person decides: `tidings release`, or `tidings uninstall`."


def _difference(found: Mapping[str, Any]) -> str | None:
    if found["cluster"] != found["bound_cluster"]:
        return "This ledger was made in another Postgres cluster: it is a copy, or the server was replaced."
    if found["database"] != found["bound_database"]:
        return f"This ledger was made in database {found['bound_database']!r} and lives in {found['database']!r} now."
    if found["bound_table_oid"] not in (None, found["table_oid"]):
        return "This ledger was restored from a dump: what it remembers as owed may have been sent already."
    return None


def hold(conn: Connection[Any], project_id: int, reason: str) -> None:
    """Hold everything until a person decides. The first reason stays."""
    _update(conn, project_id, "hold", {"reason": reason})


def release(conn: Connection[Any], project_id: int, *, environment: str | None = None) -> None:
    """Carry out a person's decision to go on: bind the state to where it lives now. Idempotent."""
    _update(conn, project_id, "release", {"environment": environment})


def _update(conn: Connection[Any], project_id: int, query: str, values: dict[str, object]) -> None:
    if conn.execute(_QUERIES[query], {"project_id": project_id, **values}).fetchone() is None:
        raise NotFound(f"The ledger has no project {project_id}. Run `tidings init` again; it repairs what is missing.")
