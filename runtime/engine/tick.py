"""The tick: timers that are due, slots that have come and work whose pause is over become work to do."""

from typing import Any

from psycopg import Connection

from runtime.engine.engine import Engine, Moment, enter
from runtime.engine.runs import CHUNK
from runtime.engine.slots import start_due_slots
from runtime.ledger.parking import unpark
from runtime.ledger.queries import load_queries
from runtime.ledger.work import FOREVER_AGO

_BATCH = 1_000
_MOST_BATCHES = 20
_MOST_UNPARKED = 50
_QUERIES = load_queries("runtime.engine")


def tick(engine: Engine) -> list[int]:
    """Release the runs that have waited long enough, start the slots that are due, and return the work to nudge for.

    What rested in a pause that is over goes on, too. At most 20,000 runs at once, and 50 pieces of parked work: the
    next tick takes the others. Nothing happens while the project is held.
    """
    with engine.ledger.pipelined() as conn:
        moment = enter(engine, conn)
        work = _release(engine, conn, moment) if moment else []
    with engine.ledger.pipelined() as conn:
        if moment is None:
            return []
        work += unpark(conn, moment.project.id, now=moment.now, limit=_MOST_UNPARKED)
        return work + start_due_slots(engine, conn, moment)


def _release(engine: Engine, conn: Connection[Any], moment: Moment) -> list[int]:
    floor = engine.memory.floor("timers", moment.now)
    values: dict[str, Any] = {"project_id": moment.project.id, "now": moment.now, "limit": _BATCH, "chunk": CHUNK}
    values["floor"] = floor or FOREVER_AGO
    work: list[int] = []
    for _ in range(_MOST_BATCHES):
        rows = conn.execute(_QUERIES["release_timers"], values).fetchall()
        work += sorted(work_id for work_id, _ in rows)
        if sum(runs for _, runs in rows) < _BATCH:
            everywhere = floor is None
            engine.memory.set_floor("timers", moment.now, nothing_before=moment.now, from_the_beginning=everywhere)
            break
    return work
