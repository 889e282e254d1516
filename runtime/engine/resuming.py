"""Resuming: what waits in a pause is said first, and then goes on, or ends without telling anybody.

Nothing is moved by hand here: once the pause is gone, the tick takes up what is parked, so much at a time and the
oldest first. What is discarded ends at once, as sets; and whatever happened before and comes later, because it had not
been matched yet or was in a worker's hands, ends where it is come across.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection
from psycopg.rows import dict_row

from runtime.clock import Clock
from runtime.ledger.database import Ledger
from runtime.ledger.jsonb import to_json
from runtime.ledger.project import clock_for, load_project
from runtime.ledger.queries import load_queries
from runtime.publishing.drafts import unknown_workflow
from runtime.publishing.pausing import LONGEST_WHY, Pause, list_pauses, log

_QUERIES = load_queries("runtime.engine", "resuming.sql")
_PAUSING = load_queries("runtime.publishing", "pausing.sql")
_WORK_AT_ONCE = 50
_TIMERS_AT_ONCE = 5_000


@dataclass(frozen=True)
class Waiting:
    """What waits for the end of a pause."""

    pause: Pause
    runs: int
    """They ask whom they tell when they go on, and `while` is asked afresh."""
    messages: int
    """Written, frozen, and not sent: they go out as they are."""
    people: int
    """Different addresses of those messages."""
    changes: int
    """Captured and not matched yet."""
    slots: int
    """Of schedules; they passed by and are not made up for."""
    oldest: datetime | None
    """When the first of what waits happened."""
    now: datetime


@dataclass(frozen=True)
class Resumed:
    """What a resume ended instead of letting it go on."""

    runs: int = 0
    messages: int = 0


def waiting(ledger: Ledger, workflow: str | None = None, *, clock: Clock | None = None) -> Waiting | None:
    """Return what waits for a workflow, or for everything that is not paused by itself; None: that is not paused.

    Raises NotFound for an unknown workflow.
    """
    with ledger.transaction() as conn, conn.cursor(row_factory=dict_row) as cursor:
        values = _values(conn, ledger, workflow, clock)
        pause = _pause(conn, ledger, workflow)
        if pause is None:
            return None
        queries = ("runs", "due", "messages", "changes", "slots")
        found = {
            query: cursor.execute(_QUERIES[query], values | {"since": pause.at}).fetchall()[0] for query in queries
        }
        instants = [found[query]["oldest"] for query in ("runs", "due", "messages")]
        return Waiting(
            pause=pause,
            runs=found["runs"]["runs"] + found["due"]["runs"],
            messages=found["messages"]["messages"],
            people=found["messages"]["people"],
            changes=found["changes"]["changes"],
            slots=found["slots"]["slots"],
            oldest=min((instant for instant in instants if instant is not None), default=None),
            now=values["now"],
        )


def resume(
    ledger: Ledger,
    workflow: str | None = None,
    *,
    by: str,
    discard: bool = False,
    why: str = "",
    clock: Clock | None = None,
) -> Resumed | None:
    """Carry out a person's decision to let go on what is paused; None: it is not paused, and nothing was done.

    What happened until now is not counted by the brake, whose hour begins again. With `discard` what waits ends
    instead: each run and message keeps the reason. Waits that are not over stay, and then count. When a resume dies
    half-way the pause stays, and it can be done again.
    """
    with ledger.transaction() as conn:
        values = _values(conn, ledger, workflow, clock) | {"by": by, "why": why.strip()[:LONGEST_WHY]}
        if _pause(conn, ledger, workflow) is None:
            return None
        if discard:
            conn.execute(_PAUSING["discard"], values)
    ended = _discard(ledger, values) if discard else Resumed()
    with ledger.transaction() as conn:
        query = "lift_everything" if workflow is None else "lift_workflow"
        row = conn.execute(_PAUSING[query], values | {"discard": discard}).fetchone()
        if row is None:
            return None
        conn.execute(_PAUSING["count_anew"], values)
        act = "discard" if discard else "resume"
        log(conn, values, act, workflow_id=row[0], runs=ended.runs, messages=ended.messages)
    return ended


def _values(conn: Connection[Any], ledger: Ledger, workflow: str | None, clock: Clock | None) -> dict[str, Any]:
    """Return what the statements want: the project, the present instant and the workflows that it is about."""
    now = (clock or clock_for(load_project(conn, ledger.project_id))).now()
    named = {"project_id": ledger.project_id, "name": workflow, "now": now}
    workflow_ids = [row[0] for row in conn.execute(_PAUSING["targets"], named)]
    if workflow is not None and not workflow_ids:
        raise unknown_workflow(conn, ledger.project_id, workflow)
    return named | {"workflow_ids": workflow_ids}


def _pause(conn: Connection[Any], ledger: Ledger, workflow: str | None) -> Pause | None:
    name = workflow or ""
    return next((pause for pause in list_pauses(conn, ledger.project_id) if pause.workflow == name), None)


def _discard(ledger: Ledger, values: dict[str, Any]) -> Resumed:
    """End what waits, in transactions that are short however much it is."""
    because = f": {values['why'].rstrip('.')}" if values["why"] else ""
    words = f"Discarded by {values['by']}{because}."
    told = values | {"words": words, "detail": to_json({"by": values["by"], "why": values["why"]})}
    timers = _in_turn(ledger, told, "end_timers", _TIMERS_AT_ONCE)
    return Resumed(
        runs=timers + _in_order(ledger, told, "end_runs"), messages=_in_order(ledger, told, "discard_messages")
    )


def _in_order(ledger: Ledger, values: dict[str, Any], query: str) -> int:
    after, total = 0, 0
    while True:
        reached, number = _row(ledger, query, values | {"after": after, "limit": _WORK_AT_ONCE})
        total += int(number)
        if reached is None:
            return total
        after = reached


def _in_turn(ledger: Ledger, values: dict[str, Any], query: str, limit: int) -> int:
    total = 0
    while True:
        number = int(_row(ledger, query, values | {"limit": limit})[0])
        total += number
        if number < limit:
            return total


def _row(ledger: Ledger, query: str, values: dict[str, Any]) -> Sequence[Any]:
    with ledger.transaction() as conn:
        return conn.execute(_QUERIES[query], values).fetchall()[0]
