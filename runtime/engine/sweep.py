"""The sweeper: whatever is due and nobody holds is nudged for again, so that a lost nudge loses nothing."""

from datetime import timedelta

from runtime.engine.engine import Engine, enter
from runtime.ledger.work import longest_owed, nudge

PATIENCE = timedelta(seconds=10)
"""How long a nudge may wait for a worker before it is repeated; by the machine's clock."""
_A_BIT = timedelta(microseconds=1)


def due_work(engine: Engine, *, limit: int = 500) -> list[int]:
    """Return work that is due, that nobody holds and that was not nudged for just now; it counts as nudged from now on.

    Work whose lease ran out is among it. Nothing is due while the project is held.
    """
    with engine.ledger.pipelined() as conn:
        moment = enter(engine, conn)
        if moment is None:
            return []
        project_id, now = moment.project.id, moment.now
        floor = engine.memory.floor("work", now)
        if floor is None:
            oldest = longest_owed(conn, project_id, now=now)
            engine.memory.set_floor("work", now, nothing_before=oldest - _A_BIT if oldest else now)
        return nudge(conn, project_id, now=now, limit=limit, patience=PATIENCE, floor=floor)
