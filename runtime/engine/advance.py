"""Advancing runs: everything is decided first, as the reader; then it is written once, if the work is still ours."""

import logging
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from itertools import chain, islice
from typing import Any

from psycopg import Connection

from runtime.delivery.deliver import Deliveries, begin
from runtime.delivery.store import store
from runtime.engine.brake import Braked, Burst, brake, bursts, count_people, rest
from runtime.engine.engine import Engine, Moment
from runtime.engine.leased import Leased
from runtime.engine.questions import asking
from runtime.engine.runs import IF, Decisions, Run, store_runs
from runtime.engine.sending import is_crowd, outgoing, tell_crowd
from runtime.engine.steps import Steps
from runtime.ledger.parking import add_parked
from runtime.ledger.work import add, ask_finish, lease

_log = logging.getLogger(__name__)


def advance(engine: Engine, moment: Moment, leased: Leased) -> list[int]:
    """Take the work's runs as far as they come now, and return the work that follows.

    A run goes on until it waits, ends or is complete; a run that can't fails alone. Raises LeaseLost when another
    worker took over, and errors of the source or the ledger as they come: then nothing was written.
    """
    runs = leased.runs
    resting: dict[int, list[int]] = {}
    for run in runs:
        if run.paused_for is not None:
            resting.setdefault(run.paused_for, []).append(run.id)
    with ExitStack() as reading:
        awake = [run for run in runs if run.paused_for is None]
        decided = _decide(engine, moment, leased, runs=awake, reading=reading)
        if not any(map(is_crowd, decided.sends)):
            reading.close()  # the rows of a crowd are read while its messages are written
        braked = bursts(decided)
        while True:  # ends: each time there are fewer sends
            resting |= rest(decided, braked)
            try:
                return _write(engine, moment, leased, decided=decided, braked=braked, resting=resting)
            except Braked as over:
                braked |= over.bursts


def _write(
    engine: Engine,
    moment: Moment,
    leased: Leased,
    *,
    decided: Decisions,
    braked: Mapping[int, Burst],
    resting: Mapping[int, Sequence[int]],
) -> list[int]:
    """Render and write what was decided. Raises Braked, with nothing written, when it would be too much."""
    project_id = moment.project.id
    crowds = [send for send in decided.sends if is_crowd(send)]
    few = [send for send in decided.sends if not is_crowd(send)]
    with engine.ledger.connection() as conn, conn.pipeline():
        slices = outgoing(conn, moment.project, engine.delivery, few)
    messages = (part.prepared(moment.now) for part in slices)
    ready = list(islice(messages, 1))  # the others, if there are more, are rendered when this one is written
    with engine.ledger.pipelined() as conn:
        still_ours = ask_finish(conn, project_id, leased.work)
        store_runs(conn, project_id, decided)
        following = add(conn, project_id, "advance", decided.later, moment.now)
        if few or crowds:
            still_ours()
        for prepared in chain(ready, messages):
            following += store(conn, project_id, prepared, now=moment.now)
        for send in crowds:
            written = tell_crowd(conn, moment.project, engine.delivery, send, now=moment.now)
            following += sorted(work_id for cursor in written for (work_id,) in cursor)
        add_parked(conn, project_id, "advance", resting, moment.now)
        if not few and not crowds:
            still_ours()
        brake(conn, project_id, braked, moment.now)
        begun = None
        if few and not crowds and not decided.later and following and leased.may_go_on():
            begun = _begin(engine, conn, moment, following[0])
        count_people(conn, project_id, decided)  # last: it keeps others waiting
    leased.begun = begun
    if decided.errors:
        _log.warning("runs.failed runs=%s", sorted(decided.errors))
    return following


def _begin(engine: Engine, conn: Connection[Any], moment: Moment, work_id: int) -> Deliveries | None:
    """Begin to deliver what was just made: it is leased and marked in the transaction that makes it."""
    work = lease(conn, moment.project.id, work_id, engine.lease)
    return begin(conn, moment.project.id, engine.delivery, work, now=moment.now) if work else None


def _decide(engine: Engine, moment: Moment, leased: Leased, *, runs: Sequence[Run], reading: ExitStack) -> Decisions:
    """Decide about runs; the reader's transaction lasts as long as `reading`."""
    decided = Decisions(now=moment.now, runs={run.id: run for run in runs}, open={run.id for run in runs})
    versions = {run.version_id: engine.memory.version(engine.ledger, run.version_id) for run in runs}
    for run in runs:
        if run.discarded_by is not None:
            step = "if" if run.step == IF else versions[run.version_id].compiled.steps[run.step].name
            decided.end(run, step, "discarded", by=run.discarded_by)
    if not decided.open:
        return decided
    questions = reading.enter_context(asking(engine.source, decided, leased.keep))
    while group := decided.next_group():
        Steps(versions[group[0].version_id], questions, moment.project.zone).take(group)
    return decided
