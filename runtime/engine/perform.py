"""Performing a piece of work: leased, done, and finished under the fence of the lease."""

import logging

from runtime.delivery.deliver import deliver
from runtime.engine.advance import advance
from runtime.engine.engine import Engine, Moment, enter
from runtime.engine.expand import expand
from runtime.engine.leased import Leased
from runtime.errors import Permanent
from runtime.ledger.work import LeaseLost, add, finish, lease

_ENOUGH_ATTEMPTS = 5
"""Whoever had the work until then died over it or could not reach a database: from here on it is done in halves."""
_log = logging.getLogger(__name__)


def perform(engine: Engine, work_id: int) -> list[int]:
    """Do a piece of work and return what follows from it.

    Nothing happens when it is done already, when somebody else has it, or while the project is held. Any error leaves
    the work owed: it can be taken again when the lease has run out.
    """
    with engine.ledger.transaction() as conn:
        moment = enter(engine, conn)
        work = lease(conn, engine.ledger.project_id, work_id, engine.lease) if moment else None
    if moment is None or work is None:
        return []
    try:
        return _do(engine, moment, Leased(engine.ledger, work, engine.lease))
    except LeaseLost:
        _log.info("work.lost work=%d", work.id)
        return []


def _do(engine: Engine, moment: Moment, leased: Leased) -> list[int]:
    work = leased.work
    match work.kind:
        case "advance":
            if work.attempts > _ENOUGH_ATTEMPTS and len(work.ids) > 1:
                return _halve(engine, moment, leased)
            return advance(engine, moment, leased)
        case "expand":
            return expand(engine, moment, leased)
        case "deliver":
            return deliver(engine.ledger, engine.delivery, work, now=moment.now)
    raise Permanent(f"Nobody knows how to do work of the kind {work.kind!r}: this process is older than the ledger.")


def _halve(engine: Engine, moment: Moment, leased: Leased) -> list[int]:
    """Leave the work to two others: whatever it is that can't be done is in one of them."""
    ids = leased.work.ids
    middle = len(ids) // 2
    with engine.ledger.transaction() as conn:
        finish(conn, moment.project.id, leased.work)
        return add(conn, moment.project.id, "advance", [ids[:middle], ids[middle:]], moment.now)
