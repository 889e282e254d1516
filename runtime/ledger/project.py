"""The project: one source database with its settings, and the binding that keeps a copied database from sending."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any, LiteralString, TypeVar

from psycopg import Connection, Cursor
from psycopg.rows import class_row, dict_row

from runtime.clock import Clock, ShiftedClock, SystemClock
from runtime.errors import NotAllowed, NotFound
from runtime.ledger.queries import load_queries

_QUERIES = load_queries("runtime.ledger")
Row = TypeVar("Row")


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
    """Grows with each publish and unpublish: what is live must be read again."""
    system_identifier: str
    database_name: str
    read_at: datetime
    """By the database's clock, which is the same for every process, wherever it runs."""


def load_project(conn: Connection[Any], project_id: int) -> Project:
    """Return the project, or raise NotFound."""
    cursor = conn.cursor(row_factory=class_row(Project))
    return _only(cursor.execute(_QUERIES["load_project"], {"project_id": project_id}), project_id)


def ask_project(conn: Connection[Any], project_id: int, *, with_settings: LiteralString = "") -> "Asked":
    """Ask for the project and its binding; in a pipeline nothing waits for it until the answer is read.

    `with_settings`: calls of set_config that are made in the same breath.
    """
    also = f", {with_settings}" if with_settings else ""
    query = f"SELECT *{also} FROM ({_QUERIES['load_project']}) p, ({_QUERIES['read_binding']}) b"
    return Asked(project_id, conn.cursor(row_factory=dict_row).execute(query, {"project_id": project_id}))


@dataclass(frozen=True)
class Asked:
    """A question for the project that was sent."""

    _project_id: int
    _cursor: Cursor[dict[str, Any]]

    def answer(self, environment: str) -> tuple[Project, str | None]:
        """Return what `load_project` and `check_binding` return, and raise as they do."""
        found = _only(self._cursor, self._project_id)
        project = Project(**{field.name: found[field.name] for field in fields(Project)})
        return project, _why_hold(project, found, environment)


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
    cursor = conn.cursor(row_factory=dict_row).execute(_QUERIES["read_binding"], {"project_id": project.id})
    return _why_hold(project, _only(cursor, project.id), environment)


def _only(cursor: Cursor[Row], project_id: int) -> Row:
    found = cursor.fetchone()
    if found is None:
        raise NotFound(f"The ledger has no project {project_id}. Run `tidings init` again; it repairs what is missing.")
    return found


def _why_hold(project: Project, binding: Mapping[str, Any], environment: str) -> str | None:
    reason = _difference(binding)
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
