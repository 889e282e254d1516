"""The tick: timers that are due and slots that have come become work."""

from typing import Any

from psycopg import Connection

from runtime.engine.engine import Engine, Moment, enter
from runtime.engine.runs import CHUNK
from runtime.engine.slots import start_due_slots
from runtime.ledger.queries import load_queries

_BATCH = 1_000
_MOST_BATCHES = 20
_QUERIES = load_queries("runtime.engine")


def tick(engine: Engine) -> list[int]:
    """Release the runs that have waited long enough, start the slots that are due, and return the work to nudge for.

    At most 20,000 runs at once: the next tick takes the others. Nothing happens while the project is held.
    """
    with engine.ledger.transaction() as conn:
        moment = enter(engine, conn)
        work = _release(conn, moment) if moment else []
    with engine.ledger.transaction() as conn:
        return work + start_due_slots(engine, conn, moment) if moment else []


def _release(conn: Connection[Any], moment: Moment) -> list[int]:
    values = {"project_id": moment.project.id, "now": moment.now, "limit": _BATCH, "chunk": CHUNK}
    work: list[int] = []
    for _ in range(_MOST_BATCHES):
        rows = conn.execute(_QUERIES["release_timers"], values).fetchall()
        work += sorted(work_id for work_id, _ in rows)
        if sum(runs for _, runs in rows) < _BATCH:
            break
    return work
