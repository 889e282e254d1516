"""`tidings status`: the project in numbers, from the ledger alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from psycopg import Connection

from runtime.errors import NotFound
from runtime.publishing.pausing import Pause, list_pauses
from runtime.setup.look import rows


@dataclass(frozen=True)
class Status:
    """What is set up, what is live, and what is still owed."""

    name: str
    environment: str
    mode: str
    zone: str
    clock_shift: timedelta
    held_reason: str | None
    live: int
    paused: int
    """Workflows that are paused by themselves."""
    drafts: int
    approvals_asked: int
    runs_open: int
    runs_failed: int
    dead_letters: int
    outbox: int
    """Changes captured and not yet claimed."""
    messages: Mapping[str, int]
    """Delivery status → number of messages."""
    pauses: tuple[Pause, ...] = ()
    """What is paused, by whom and why: everything first."""


def read_status(conn: Connection[Any], project_id: int) -> Status:
    """Return the project's status as one snapshot, or raise NotFound."""
    with conn.transaction():
        found = rows(conn, "counts", project_id=project_id)
        if not found:
            raise NotFound(
                f"The ledger has no project {project_id}. Run `tidings init` again; it repairs what is missing."
            )
        messages = {row["status"]: row["messages"] for row in rows(conn, "messages", project_id=project_id)}
        pauses = list_pauses(conn, project_id)
    return Status(**found[0], messages=messages, pauses=pauses)
