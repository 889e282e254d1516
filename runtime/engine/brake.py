"""The burst brake: a workflow that is about to tell too many people within an hour is paused, and a person is asked.

The people of a workflow are counted by the minute, in the transaction that makes their messages. What would go over the
brake is not written; the runs rest, as in any pause.
"""

import logging
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from psycopg import Connection

from runtime.engine.runs import Decisions
from runtime.errors import Conflict
from runtime.ledger.queries import load_queries

_QUERIES = load_queries("runtime.engine", "brake.sql")
_log = logging.getLogger(__name__)


class Burst(NamedTuple):
    """What a workflow is stopped for."""

    people: int
    """Whom it would have told within an hour."""
    brake: int
    """Whom it may tell."""


class Braked(Conflict):
    """Nothing of this may be written: it would be more than some workflows may tell."""

    def __init__(self, bursts: Mapping[int, Burst]) -> None:
        super().__init__("The brake of a workflow holds. `tidings status` says which, and `tidings resume` goes on.")
        self.bursts = bursts
        """Workflow id → why."""


def bursts(decided: Decisions) -> dict[int, Burst]:
    """Return the workflows for which what was decided here is too much by itself."""
    return _over(_people(decided), decided)


def rest(decided: Decisions, braked: Mapping[int, Burst]) -> dict[int, list[int]]:
    """Undo what was decided about the runs of braked workflows that would tell somebody; return them by workflow."""
    telling = sorted({send.run_id for send in decided.sends if decided.runs[send.run_id].workflow_id in braked})
    decided.leave(telling)
    found: dict[int, list[int]] = {}
    for run_id in telling:
        found.setdefault(decided.runs[run_id].workflow_id, []).append(run_id)
    return found


def count_people(conn: Connection[Any], project_id: int, decided: Decisions) -> None:
    """Count whom the decided sends tell; the last statement of the transaction that stores them. Raises Braked.

    Costs nothing where there is no brake. Whoever counts for the same workflow waits until this transaction ends.
    """
    people = _people(decided)
    if not people:
        return
    values = {"project_id": project_id, "now": decided.now, "workflow_ids": list(people), "people": [*people.values()]}
    if over := _over(dict(conn.execute(_QUERIES["count_people"], values).fetchall()), decided):
        raise Braked(over)


def brake(conn: Connection[Any], project_id: int, braked: Mapping[int, Burst], now: datetime) -> None:
    """Pause workflows for what they were about to do, in the caller's transaction."""
    if not braked:
        return
    whys = [
        f"{burst.people:,} people within an hour would have been told; its brake is {burst.brake:,} an hour"
        for burst in braked.values()
    ]
    values = {"project_id": project_id, "now": now, "workflow_ids": list(braked), "whys": whys}
    for name, why in conn.execute(_QUERIES["brake"], values):
        _log.error("workflow.braked workflow=%s reason=%s", name, why)


def _people(decided: Decisions) -> Counter[int]:
    """Return how many people the sends tell that count, by workflow."""
    people: Counter[int] = Counter()
    for send in decided.sends:
        run = decided.runs[send.run_id]
        if run.brake is not None:
            people[run.workflow_id] += len(send.people)
    return people


def _over(people: Mapping[int, int], decided: Decisions) -> dict[int, Burst]:
    brakes = {run.workflow_id: run.brake for run in decided.runs.values() if run.brake is not None}
    return {
        workflow_id: Burst(number, brakes[workflow_id])
        for workflow_id, number in people.items()
        if number > brakes[workflow_id]
    }
