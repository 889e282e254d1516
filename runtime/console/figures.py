"""The project in figures: what the health page, `/healthz`, the metrics and `tidings status --json` all say.

Everything is read from the ledger, by statements that stay quick however much there is: what is owed from where indexes
begin, what happened from the tally, what is under way from the last census.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg import Connection
from psycopg.rows import dict_row

from runtime.capture.health import CaptureHealth, capture_health
from runtime.engine.alarms import Alarm, CanaryState, alarms, canary_state
from runtime.ledger.project import Project, clock_for, load_project
from runtime.ledger.queries import load_queries
from runtime.publishing.pausing import Pause, list_pauses

_QUERIES = load_queries("runtime.console", "figures.sql")
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)


@dataclass(frozen=True)
class Happened:
    """How often something happened: since the last full hour an hour ago, and since that a day ago."""

    fact: str
    """made, sent, delivered, suppressed, failed, uncertain, doubled, dead, started, opened, …"""
    reason: str
    hour: int
    day: int


@dataclass(frozen=True)
class ProviderPause:
    """Until when a provider is given nothing, and why."""

    provider: str
    until: datetime
    reason: str
    error: str


@dataclass(frozen=True)
class Open:
    """Messages that are not finished."""

    state: str
    """queued, held or sending."""
    reason: str
    number: int


@dataclass(frozen=True)
class Figures:
    """One project at one moment."""

    now: datetime
    """On Tidings' clock, as all instants here but the census'."""
    project: Project
    capture: CaptureHealth
    alarms: tuple[Alarm, ...]
    canary: CanaryState
    leader: bool
    """Whether a dispatcher leads."""
    work_due: int
    work_overdue: int
    """Due for more than a minute, and nobody has it."""
    timers_due: int
    """Runs whose wait is over; counted up to 10,000."""
    next_timer: datetime | None
    dead_letters: int
    """Changes and runs that could not be carried out, and were not replayed."""
    paused: tuple[Pause, ...]
    """What a person, or the brake, has stopped."""
    runs: Mapping[str, int]
    """State → how many runs are kept, at the last census."""
    open_messages: tuple[Open, ...]
    """At the last census."""
    census_at: datetime | None
    census_age: timedelta | None
    pauses: tuple[ProviderPause, ...]
    lately: tuple[Happened, ...]

    @property
    def since(self) -> tuple[datetime, datetime]:
        """Since when `hour` and `day` of what happened lately count."""
        return _full_hour(self.now - _HOUR), _full_hour(self.now - _DAY)

    def happened(self, fact: str) -> tuple[int, int]:
        """Return how often something happened for any reason, in the hour and in the day."""
        found = [one for one in self.lately if one.fact == fact]
        return sum(one.hour for one in found), sum(one.day for one in found)

    def reasons(self, fact: str) -> Mapping[str, int]:
        """Return for which reasons something happened within the day, the commonest first."""
        return {one.reason or "unknown": one.day for one in self.lately if one.fact == fact}


@dataclass(frozen=True)
class Total:
    """How often something happened since the project began."""

    workflow: str
    fact: str
    reason: str
    number: int


def read_figures(conn: Connection[Any], project_id: int) -> Figures:
    """Return the figures of a project, or raise NotFound; reads only."""
    project = load_project(conn, project_id)
    now = clock_for(project).now()
    flow = _rows(conn, "flow", project_id, now=now)[0]
    census = _rows(conn, "census", project_id)
    lately = _rows(conn, "lately", project_id, hour=_full_hour(now - _HOUR), day=_full_hour(now - _DAY))
    return Figures(
        **flow,
        paused=list_pauses(conn, project_id),
        now=now,
        project=project,
        capture=capture_health(conn, project_id),
        alarms=alarms(conn, project_id, now),
        canary=canary_state(conn, project_id),
        runs={row["state"]: row["number"] for row in census if row["what"] == "runs"},
        open_messages=tuple(
            Open(row["state"], row["reason"], row["number"]) for row in census if row["what"] == "messages"
        ),
        pauses=tuple(ProviderPause(**row) for row in _rows(conn, "pauses", project_id, now=now)),
        lately=tuple(Happened(**{**row, "hour": row["hour"] or 0}) for row in lately),
    )


def read_totals(conn: Connection[Any], project_id: int) -> tuple[Total, ...]:
    """Return what was ever counted, by workflow; no number of these ever falls."""
    return tuple(Total(**row) for row in _rows(conn, "ever", project_id))


def _full_hour(instant: datetime) -> datetime:
    return instant.replace(minute=0, second=0, microsecond=0)


def _rows(conn: Connection[Any], query: str, project_id: int, **values: object) -> list[dict[str, Any]]:
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(_QUERIES[query], {"project_id": project_id, **values}).fetchall()
