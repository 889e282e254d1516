"""The sweeper: whatever is due and nobody holds is nudged for again, so that a lost nudge loses nothing."""

from datetime import timedelta

from runtime.engine.engine import Engine, enter
from runtime.ledger.work import nudge

PATIENCE = timedelta(seconds=10)
"""How long a nudge may wait for a worker before it is repeated; by the machine's clock."""


def due_work(engine: Engine, *, limit: int = 500) -> list[int]:
    """Return work that is due, that nobody holds and that was not nudged for just now; it counts as nudged from now on.

    Work whose lease ran out is among it. Nothing is due while the project is held.
    """
    with engine.ledger.transaction() as conn:
        moment = enter(engine, conn)
        return nudge(conn, moment.project.id, now=moment.now, limit=limit, patience=PATIENCE) if moment else []
