"""Advancing runs: everything is decided first, as the reader; then it is written once, if the work is still ours."""

import logging
from datetime import timedelta
from itertools import chain, islice

from runtime.delivery.store import store
from runtime.engine.engine import Engine, Moment
from runtime.engine.leased import Leased
from runtime.engine.questions import asking
from runtime.engine.runs import Decisions, Run, load_runs, store_runs
from runtime.engine.sending import outgoing
from runtime.engine.steps import Steps
from runtime.ledger.work import add, finish

PAUSED = timedelta(minutes=1)
"""How often the runs of a paused workflow are looked at."""
_log = logging.getLogger(__name__)


def advance(engine: Engine, moment: Moment, leased: Leased) -> list[int]:
    """Take the work's runs as far as they come now, and return the work that follows.

    A run goes on until it waits, ends or is complete; a run that can't fails alone. Raises LeaseLost when another
    worker took over, and errors of the source or the ledger as they come: then nothing was written.
    """
    project_id = moment.project.id
    with engine.ledger.connection() as conn:
        runs = load_runs(conn, project_id, leased.work.ids)
    decided = _decide(engine, moment, leased, [run for run in runs if not run.paused])
    resting = [run.id for run in runs if run.paused]
    with engine.ledger.connection() as conn:
        slices = outgoing(conn, moment.project, engine.delivery, decided.sends)
    messages = (part.prepared(moment.now) for part in slices)
    ready = list(islice(messages, 1))  # the others, if there are more, are rendered when this one is written
    with engine.ledger.transaction() as conn:
        finish(conn, project_id, leased.work)
        store_runs(conn, project_id, decided)
        following = add(conn, project_id, "advance", decided.later, moment.now)
        for prepared in chain(ready, messages):
            following += store(conn, project_id, prepared, now=moment.now)
        if resting:
            add(conn, project_id, "advance", [resting], moment.now + PAUSED)
    if decided.errors:
        _log.warning("runs.failed runs=%s", sorted(decided.errors))
    return following


def _decide(engine: Engine, moment: Moment, leased: Leased, runs: list[Run]) -> Decisions:
    decided = Decisions(now=moment.now, runs={run.id: run for run in runs}, open={run.id for run in runs})
    versions = {run.version_id: engine.memory.version(engine.ledger, run.version_id) for run in runs}
    if not runs:
        return decided
    with asking(engine.source, decided, leased.keep) as questions:
        while group := decided.next_group():
            Steps(versions[group[0].version_id], questions, moment.project.zone).take(group)
    return decided
