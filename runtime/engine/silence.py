"""Silence: a workflow that used to have events and has had none for longer than ever.

The measure is the workflow's own: the longest time between two events within four weeks, half as long again. Nights and
weekends are in it, so it needs a week to know them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg import Connection
from psycopg.rows import dict_row

from runtime.ledger.queries import load_queries

LOOKING_BACK = timedelta(weeks=4)
LEAST_HISTORY = timedelta(days=8)
"""A week with its weekend, and a day."""
LEAST_EVENTS = 20
LEAST_SILENCE = timedelta(hours=1)
_UNUSUAL, _ALARMING = 1.5, 3.0
"""Times the longest silence so far: yellow and red."""
_QUERIES = load_queries("runtime.engine", "alarms.sql")


@dataclass(frozen=True)
class Silence:
    """A workflow that is unusually silent."""

    workflow: str
    severity: str
    sentence: str
    since: datetime
    """Its last event."""


def observe(conn: Connection[Any], project_id: int, now: datetime) -> None:
    """Note which workflows had events since it was last called: once a minute is enough. Idempotent at one instant."""
    conn.execute(_QUERIES["observe"], {"project_id": project_id, "now": now, "today": now.date()})
    conn.execute(_QUERIES["forget_hours"], {"project_id": project_id, "before": now - LOOKING_BACK})


def silences(conn: Connection[Any], project_id: int, now: datetime) -> Iterator[Silence]:
    """Yield the live workflows that are silent for longer than their history lets expect, by name.

    One with too short a history is never called silent, and neither is a paused one.
    """
    values = {"project_id": project_id, "since": now - LOOKING_BACK}
    with conn.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(_QUERIES["silences"], values).fetchall()
    for row in rows:
        if row["events"] < LEAST_EVENTS or row["last_at"] - row["first_at"] < LEAST_HISTORY:
            continue
        since = max(row["last_at"], row["published_at"])
        longest = max(row["longest"] or LEAST_SILENCE, LEAST_SILENCE / _UNUSUAL)
        silence = now - since
        if silence > longest * _UNUSUAL:
            severity = "red" if silence > longest * _ALARMING else "yellow"
            yield Silence(row["name"], severity, _sentence(row["name"], silence, longest), since)


def _sentence(name: str, silence: timedelta, longest: timedelta) -> str:
    return (
        f"{name} has had no event for {_hours(silence)}; within the last four weeks it was never without one for more "
        f"than {_hours(longest)}."
    )


def _hours(duration: timedelta) -> str:
    minutes = int(duration.total_seconds()) // 60
    return f"{minutes} minutes" if minutes < 120 else f"{minutes // 60} hours"  # noqa: PLR2004  # two hours
