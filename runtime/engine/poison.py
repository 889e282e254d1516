"""Work that workers die over, with nobody left to say why: the one run that does it is found, and given up."""

import logging

from runtime.engine.engine import Engine, Moment
from runtime.engine.leased import Leased
from runtime.engine.runs import IF, Decisions, Run, load_runs, store_runs
from runtime.ledger.work import add, finish

ENOUGH_DEATHS = 3
"""From here on each run of the work is alone, so that whatever kills its worker harms no other."""
MOST_DEATHS = 8
"""From here on what is alone is given up: a failure that a person can look at, instead of workers that go on dying."""
_log = logging.getLogger(__name__)


def single_out(engine: Engine, moment: Moment, leased: Leased) -> list[int]:
    """Leave each run of the work to a piece of work of its own, and return these. Raises LeaseLost."""
    _log.warning("work.singled_out work=%d runs=%d", leased.work.id, len(leased.work.ids))
    with engine.ledger.transaction() as conn:
        finish(conn, moment.project.id, leased.work)
        return add(conn, moment.project.id, "advance", [[run_id] for run_id in leased.work.ids], moment.now)


def give_up(engine: Engine, moment: Moment, leased: Leased) -> list[int]:
    """Fail the runs of the work, with a dead letter each, and return the work that follows: none. Raises LeaseLost."""
    why = f"{leased.work.deaths} workers died while they had this run in hand. Look into their logs, then replay it."
    with engine.ledger.transaction() as conn:
        finish(conn, moment.project.id, leased.work)
        runs = load_runs(conn, moment.project.id, leased.work.ids)
        decided = Decisions(now=moment.now, runs={run.id: run for run in runs}, open={run.id for run in runs})
        for run in runs:
            decided.fail(run, _step_name(engine, run), why)
        store_runs(conn, moment.project.id, decided)
    _log.error("runs.given_up runs=%s deaths=%d", sorted(decided.errors), leased.work.deaths)
    return []


def _step_name(engine: Engine, run: Run) -> str:
    steps = engine.memory.version(engine.ledger, run.version_id).compiled.steps
    return "if" if run.step == IF else steps[run.step].name
