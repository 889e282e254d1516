"""When something is due next: how a virtual clock jumps."""

from datetime import datetime, timedelta

from runtime.engine.engine import Engine, Moment, enter
from runtime.engine.slots import next_due_slot
from runtime.ledger import work
from runtime.ledger.queries import load_queries

_QUERIES = load_queries("runtime.engine")


def next_due(engine: Engine) -> datetime | None:
    """Return the earliest instant after now at which a run is released, a slot comes or work is due, if there is any.

    What is due already does not count: `drain` does that. Nothing is due while the project is held.
    """
    found = _look(engine)
    return found[1] if found else None


def until_next_due(engine: Engine) -> timedelta | None:
    """Return how long it is until then, on the project's clock."""
    found = _look(engine)
    return found[1] - found[0].now if found else None


def _look(engine: Engine) -> tuple[Moment, datetime] | None:
    with engine.ledger.pipelined() as conn:
        moment = enter(engine, conn)
        if moment is None:
            return None
        values = {"project_id": moment.project.id, "now": moment.now}
        timers = conn.execute(_QUERIES["next_timer"], values)
        instants: list[datetime | None] = [work.next_due(conn, moment.project.id, now=moment.now)]
        instants += [row[0] for row in timers]
        instants.append(next_due_slot(engine, conn, moment))
    due = min((instant for instant in instants if instant is not None), default=None)
    return (moment, due) if due else None
