"""How long things are kept: what is too old goes in small steps, and never what something under way still needs.

There are three times: for payloads (rows as captured, what queries gave, texts, requests), for messages (who got what,
when, and why not) and for counts. What keeps Tidings from doing something twice or against somebody's wish is kept for
ever: slots, suppressions, versions, approvals.
"""

import logging
import time
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg import Connection
from psycopg.errors import LockNotAvailable, QueryCanceled
from psycopg.rows import class_row, dict_row

from runtime.errors import NotAllowed, NotFound
from runtime.ledger.database import Ledger
from runtime.ledger.queries import load_queries

SHORTEST = timedelta(days=1)
_REST = timedelta(hours=6)
"""Between the end of a stage and its next beginning."""
_log = logging.getLogger(__name__)
_QUERIES = load_queries("runtime.engine", "retention.sql")


@dataclass(frozen=True)
class KeepTimes:
    """For how long a project keeps what."""

    payloads: timedelta
    """Rows as captured, what queries gave, texts and requests, the local inbox."""
    messages: timedelta
    """Runs, messages, their status, dead letters: who got what and why."""
    counts: timedelta
    """Numbers by the hour and the day; totals stay."""


@dataclass(frozen=True)
class _Stage:
    """One kind of thing that goes."""

    name: str
    """Of its query."""
    keep: str
    """The time that it is kept for."""
    rows: int = 1_000
    """That one transaction looks at."""


_STAGES = (
    _Stage("blank_events", "payloads"),
    _Stage("blank_runs", "payloads"),
    _Stage("blank_requests", "payloads", 200),
    _Stage("drop_shared", "payloads", 200),
    _Stage("drop_inbox", "payloads", 200),
    _Stage("blank_dead_letters", "payloads"),
    _Stage("drop_messages", "messages", 500),
    _Stage("drop_requests", "messages", 500),
    _Stage("drop_runs", "messages"),
    _Stage("drop_dead_letters", "messages"),
    _Stage("drop_events", "messages"),
    _Stage("drop_keys", "messages"),
    _Stage("drop_reports", "messages", 100),
    _Stage("drop_match_counts", "counts"),
    _Stage("drop_tallies", "counts"),
)


_NAMES = [stage.name for stage in _STAGES]


def keep_times(conn: Connection[Any], project_id: int) -> KeepTimes:
    """Return how long a project keeps things, or raise NotFound."""
    with conn.cursor(row_factory=class_row(KeepTimes)) as cursor:
        found = cursor.execute(_QUERIES["read_times"], {"project_id": project_id}).fetchone()
    if found is None:
        raise NotFound(f"The ledger has no project {project_id}. Run `tidings init` again; it repairs what is missing.")
    return found


def set_keep_times(conn: Connection[Any], project_id: int, times: KeepTimes) -> None:
    """Keep things for other times from now on; what is too old by them goes soon. Raises NotAllowed for odd times."""
    if not SHORTEST <= times.payloads <= times.messages <= times.counts:
        raise NotAllowed(
            "Payloads are kept for a day at least, messages for as long at least, and counts for as long as messages. "
            f"Not {times.payloads.days}, {times.messages.days} and {times.counts.days} days."
        )
    values = {"payloads": times.payloads, "messages": times.messages, "counts": times.counts}
    if conn.execute(_QUERIES["write_times"], {"project_id": project_id, **values}).fetchone() is None:
        raise NotFound(f"The ledger has no project {project_id}. Run `tidings init` again; it repairs what is missing.")
    conn.execute(_QUERIES["begin_anew"], {"project_id": project_id, "stages": _NAMES})


def prune(ledger: Ledger, *, now: datetime, seconds: float = 0.25, rest: timedelta = _REST) -> dict[str, int]:
    """Let go of what is too old at an instant on Tidings' clock; return what was done, by stage.

    Takes about that many seconds at most, in transactions of a few hundred rows that hardly wait for a lock; the next
    call goes on where this one stopped. A stage that came to its end rests for a while. Safe for two at once.
    """
    deadline, done = time.monotonic() + seconds, dict[str, int]()
    with ledger.connection() as conn:
        times = keep_times(conn, ledger.project_id)
        stages = _open_stages(conn, ledger.project_id, rest)
    for stage in _STAGES:
        before = now - getattr(times, stage.keep)
        goes_on = stage.name in stages
        while goes_on and time.monotonic() < deadline:
            count, goes_on = _step_or_later(ledger, stage, before)
            done[stage.name] = done.get(stage.name, 0) + count
    return {stage: count for stage, count in done.items() if count}


def too_old(conn: Connection[Any], project_id: int, kind: str, number: int) -> bool:
    """Return whether a run or message of that number may have been here and is older than such are kept for."""
    values = {"project_id": project_id, "stage": f"drop_{kind}s"}
    row = conn.execute(_QUERIES["removed_up_to"], values).fetchone()
    return row is not None and 0 < number <= row[0]


def has_removed(conn: Connection[Any], project_id: int) -> bool:
    """Return whether runs were ever removed because they were too old."""
    return too_old(conn, project_id, "run", 1)


def _open_stages(conn: Connection[Any], project_id: int, rest: timedelta) -> Collection[str]:
    values = {"project_id": project_id, "stages": _NAMES, "rest": rest}
    conn.execute(_QUERIES["prepare_stages"], values)
    return {row[0] for row in conn.execute(_QUERIES["open_stages"], values)}


def _step_or_later(ledger: Ledger, stage: _Stage, before: datetime) -> tuple[int, bool]:
    """Do the next rows of a stage, unless somebody holds them; that holds up no other stage."""
    try:
        with ledger.transaction() as conn:
            return _step(conn, ledger.project_id, stage, before)
    except (LockNotAvailable, QueryCanceled) as error:
        _log.warning("retention.put_off stage=%s reason=%s", stage.name, error)
        return 0, False


def _step(conn: Connection[Any], project_id: int, stage: _Stage, before: datetime) -> tuple[int, bool]:
    """Do the next rows of a stage; return how many were done, and whether there is more to do now.

    At the end the stage goes back to the first row that it had to leave.
    """
    values: dict[str, Any] = {"project_id": project_id, "stage": stage.name, "before": before, "limit": stage.rows}
    with conn.cursor(row_factory=dict_row) as cursor:
        stands = cursor.execute(_QUERIES["take_stage"], values).fetchone()
        if stands is None:
            return 0, False
        found = cursor.execute(_QUERIES[stage.name], values | {"after": stands["reached"]}).fetchall()[0]
    behind = min(filter(None, (stands["behind"], found["behind"])), default=None)
    at_end = found["seen"] < stage.rows or not found["ready"]
    reached = found["last"] or stands["reached"]
    if at_end and behind is not None:
        reached, behind = behind - 1, None
    place = {
        "reached": reached,
        "behind": behind,
        "removed": found["removed"] or 0,
        "done": found["done"],
        "rests": at_end,
    }
    conn.execute(_QUERIES["leave_stage"], values | place)
    return found["done"], not at_end
