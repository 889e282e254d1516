"""When something is due next: how a virtual clock jumps."""

from datetime import datetime

from runtime.engine.engine import Engine, enter
from runtime.engine.slots import next_due_slot
from runtime.ledger import work
from runtime.ledger.queries import load_queries

_QUERIES = load_queries("runtime.engine")


def next_due(engine: Engine) -> datetime | None:
    """Return the earliest instant after now at which a run is released, a slot comes or work is due, if there is any.

    What is due already does not count: `drain` does that. Nothing is due while the project is held.
    """
    with engine.ledger.transaction() as conn:
        moment = enter(engine, conn)
        if moment is None:
            return None
        values = {"project_id": moment.project.id, "now": moment.now}
        instants: list[datetime | None] = [row[0] for row in conn.execute(_QUERIES["next_timer"], values)]
        instants.append(work.next_due(conn, moment.project.id, now=moment.now))
        instants.append(next_due_slot(engine, conn, moment))
    return min((instant for instant in instants if instant is not None), default=None)
