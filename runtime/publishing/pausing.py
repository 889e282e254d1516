"""Pauses: a workflow, or everything, rests from now on; who said so, when and why. And how the brake is set.

Only what leaves and what decides about leaving rests. Changes are captured and matched all the same, so nothing is
lost. Anybody may pause; letting go on is for a person (see `runtime.engine.resuming`).
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from runtime.clock import Clock
from runtime.ledger.database import Ledger
from runtime.ledger.project import clock_for, load_project
from runtime.ledger.queries import load_queries
from runtime.publishing.drafts import unknown_workflow

_QUERIES = load_queries("runtime.publishing", "pausing.sql")
LONGEST_WHY = 500
"""Characters of a reason that are kept."""


@dataclass(frozen=True)
class Pause:
    """Something that is paused now."""

    workflow: str
    """Empty: everything."""
    kind: str
    """person, or burst: the brake did it."""
    at: datetime
    """On Tidings' clock."""
    by: str
    why: str

    def line(self) -> str:
        """Say it in a sentence, with the ways on."""
        since = f"{self.at:%Y-%m-%d %H:%M:%S} UTC"
        if self.kind == "burst":
            ways = f"`tidings resume {self.workflow}` lets what waits go, with --discard it ends it."
            return f"The brake stopped {self.workflow} at {since}: {self.why.rstrip('.')}. {ways}"
        what = f"{self.workflow} is" if self.workflow else "Everything is"
        said = f"{what} paused since {since}{f' by {self.by}' if self.by else ''}{': ' if self.why else ''}"
        return f"{said}{self.why.rstrip('.')}. `{f'tidings resume {self.workflow}'.rstrip()}` goes on."


@dataclass(frozen=True)
class Brake:
    """How many people a workflow may tell within an hour before it is stopped and a person asked."""

    workflow: str
    """Empty: what holds for every workflow without a brake of its own."""
    per_hour: int | None
    """None: there is no brake."""
    own: bool
    """Whether it is the workflow's own."""
    told: int | None
    """Whom it told within the last hour, as far as it was counted."""


def pause(
    ledger: Ledger, workflow: str | None = None, *, by: str, why: str = "", clock: Clock | None = None
) -> Pause | None:
    """Let a workflow, or everything, rest; return the pause that was there already, if there was one: it stays.

    When this returns, no request that was not begun before begins any more, except those that are under way in this
    very moment: `runtime.delivery.underway` waits for them. Raises NotFound for an unknown workflow.
    """
    with ledger.transaction() as conn:
        values = {"project_id": ledger.project_id, "now": _now(conn, ledger, clock), "name": workflow}
        words = {"by": by, "why": why.strip()[:LONGEST_WHY]}
        query = "pause_everything" if workflow is None else "pause_workflow"
        row = conn.execute(_QUERIES[query], values | words).fetchone()
        if row is not None:
            log(conn, values | words, "pause", workflow_id=row[0])
            return None
        known = next((one for one in list_pauses(conn, ledger.project_id) if one.workflow == (workflow or "")), None)
        if known is None:
            raise unknown_workflow(conn, ledger.project_id, workflow or "")
        return known


def list_pauses(conn: Connection[Any], project_id: int) -> tuple[Pause, ...]:
    """Return what is paused now: everything first, then workflows by name."""
    with conn.cursor(row_factory=class_row(Pause)) as cursor:
        return tuple(cursor.execute(_QUERIES["pauses"], {"project_id": project_id}).fetchall())


def list_brakes(ledger: Ledger) -> tuple[Brake, ...]:
    """Return the project's brake and that of each workflow, by name."""
    with ledger.transaction() as conn, conn.cursor(row_factory=class_row(Brake)) as cursor:
        values = {"project_id": ledger.project_id, "now": _now(conn, ledger, None)}
        return tuple(cursor.execute(_QUERIES["brakes"], values).fetchall())


def set_brake(ledger: Ledger, workflow: str | None, per_hour: int | None, *, by: str) -> None:
    """Carry out a person's decision on how many people a workflow, or every other one, may tell within an hour.

    None: a workflow goes by the project's again; 0: there is no brake. Raises NotFound for an unknown workflow.
    """
    with ledger.transaction() as conn:
        values = {"project_id": ledger.project_id, "now": _now(conn, ledger, None), "name": workflow}
        query = "set_project_brake" if workflow is None else "set_workflow_brake"
        row = conn.execute(_QUERIES[query], values | {"per_hour": per_hour}).fetchone()
        if row is None:
            raise unknown_workflow(conn, ledger.project_id, workflow or "")
        log(conn, values | {"by": by, "why": ""}, "brake", workflow_id=row[0], per_hour=per_hour)


def log(
    conn: Connection[Any], values: dict[str, Any], act: str, *, workflow_id: int | None = None, **detail: Any
) -> None:
    """Keep for ever who did what, and why; `values` has project_id, now, by and why."""
    more = {"act": act, "workflow_id": workflow_id, "detail": Jsonb(detail)}
    conn.execute(_QUERIES["log"], values | more)


def _now(conn: Connection[Any], ledger: Ledger, clock: Clock | None) -> datetime:
    return (clock or clock_for(load_project(conn, ledger.project_id))).now()
