"""Performing a piece of work: leased, done, and finished under the fence of the lease."""

import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

from psycopg import Error as PostgresError
from psycopg_pool import PoolTimeout

from runtime.delivery.deliver import deliver, go_on
from runtime.engine.advance import advance
from runtime.engine.canary import perform_canary
from runtime.engine.engine import Engine, Moment, entered
from runtime.engine.expand import expand, give_up_slot
from runtime.engine.leased import Leased
from runtime.engine.poison import ENOUGH_DEATHS, MOST_DEATHS, give_up, single_out
from runtime.engine.runs import ask_runs_of
from runtime.errors import Permanent
from runtime.ledger.project import ask_project
from runtime.ledger.work import LeaseLost, Work, add, ask_lease, finish, give_back, leased, postpone

KINDS = ("advance", "expand", "deliver", "deliver_shared", "canary")
"""What this process knows how to do; it leaves other work to newer processes."""
_ENOUGH_ATTEMPTS = 5
"""Whoever had the work until then could not finish it: from here on it is done in halves."""
_LONGEST_PAUSE = timedelta(minutes=1)
_log = logging.getLogger(__name__)


def perform(engine: Engine, work_id: int, *, nudge: Callable[[list[int]], None] | None = None) -> list[int]:
    """Do a piece of work and return what follows from it.

    Nothing happens when it is done already, when somebody else has it, when only a newer process knows how to do it, or
    while the project is held. Any error leaves the work owed: it is given back for a little while, or, where even that
    is impossible, can be taken again when the lease has run out.

    With `nudge`, messages that were made are delivered in the same breath, as far as they are one piece of work: that
    is begun in the transaction that makes it. For what else follows `nudge` is called.
    """
    taken = _take(engine, work_id)
    if taken is None:
        return []
    moment, in_hand = taken
    in_hand.goes_on = nudge is not None
    work = in_hand.work
    try:
        following = _do(engine, moment, in_hand)
        if nudge is None or in_hand.begun is None:
            return following
        work = in_hand.begun.work
        nudge([work_id for work_id in following if work_id != work.id])
        return go_on(engine.ledger, in_hand.begun)
    except LeaseLost:
        _log.info("work.lost work=%d", work.id)
        return []
    except (PostgresError, PoolTimeout):
        _give_back(engine, moment, work)
        raise


def _take(engine: Engine, work_id: int) -> tuple[Moment, Leased] | None:
    """Lease the work and load its runs, all of it in one round trip."""
    project_id = engine.ledger.project_id
    with engine.ledger.together() as conn:
        asked = ask_project(conn, project_id)
        leasing = ask_lease(conn, project_id, work_id, engine.lease, kinds=KINDS)
        loading = ask_runs_of(conn, project_id, work_id)
        moment, work = entered(engine, conn, asked), leased(leasing)
        runs = loading.fetchall()
        if work is not None and moment is None:
            give_back(conn, project_id, work)
    return (moment, Leased(engine.ledger, work, engine.lease, tuple(runs))) if moment and work else None


def _do(engine: Engine, moment: Moment, leased: Leased) -> list[int]:
    work = leased.work
    match work.kind:
        case "advance" | "expand" if work.deaths >= ENOUGH_DEATHS:
            return _suspect(engine, moment, leased)
        case "advance":
            if work.attempts > _ENOUGH_ATTEMPTS and len(work.ids) > 1:
                return _halve(engine, moment, leased)
            return advance(engine, moment, leased)
        case "expand":
            return expand(engine, moment, leased)
        case "deliver" | "deliver_shared":
            return deliver(engine.ledger, engine.delivery, work, now=moment.now)
        case "canary":
            return perform_canary(engine.ledger, work)
    raise Permanent(f"Work {work.id} of the kind {work.kind!r} was leased, and nothing here does it. This is a bug.")


def _suspect(engine: Engine, moment: Moment, leased: Leased) -> list[int]:
    """Handle work that several workers died over: what kills them is singled out, and given up in the end."""
    work = leased.work
    if work.kind == "advance" and len(work.ids) > 1:
        return single_out(engine, moment, leased)
    if work.deaths < MOST_DEATHS:
        return advance(engine, moment, leased) if work.kind == "advance" else expand(engine, moment, leased)
    return give_up(engine, moment, leased) if work.kind == "advance" else give_up_slot(engine, moment, leased)


def _give_back(engine: Engine, moment: Moment, work: Work) -> None:
    """Give back what could not be done now: each time for longer."""
    pause = min(_LONGEST_PAUSE, timedelta(seconds=2 ** min(work.attempts, 10)))
    with suppress(PostgresError, PoolTimeout, LeaseLost), engine.ledger.transaction() as conn:
        postpone(conn, moment.project.id, work, moment.now + pause)


def _halve(engine: Engine, moment: Moment, leased: Leased) -> list[int]:
    """Leave the work to two others: whatever it is that can't be done is in one of them."""
    ids = leased.work.ids
    middle = len(ids) // 2
    with engine.ledger.transaction() as conn:
        finish(conn, moment.project.id, leased.work)
        return add(conn, moment.project.id, "advance", [ids[:middle], ids[middle:]], moment.now)
