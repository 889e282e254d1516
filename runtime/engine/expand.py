"""Expanding a schedule's slot: one run for each row that `each` returns."""

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from psycopg import Error

from runtime.engine.engine import Engine, Moment
from runtime.engine.faults import is_fault_of_rows, said
from runtime.engine.leased import Leased
from runtime.engine.runs import CHUNK, IF, chunks
from runtime.errors import Permanent
from runtime.ledger.arrays import text_array
from runtime.ledger.jsonb import to_json
from runtime.ledger.queries import load_queries
from runtime.ledger.work import add, finish
from runtime.publishing.versions import Version
from runtime.source.batch import Batch
from runtime.source.statements import RowCapExceeded, run_statement
from runtime.spec.model import ScheduleTrigger

MOST_ITEMS = 100_000
"""Of one slot."""
_RUN = 0
_QUERIES = load_queries("runtime.engine")
_log = logging.getLogger(__name__)


def expand(engine: Engine, moment: Moment, leased: Leased) -> list[int]:
    """Start a run for each item of the slot, in the order of `each`, and return the work of advancing them.

    Of several items with one key the first counts. If `each` fails, nothing starts and a dead letter says why.
    """
    version = engine.memory.version(engine.ledger, leased.work.ids[0])
    slot = leased.work.slot or moment.now
    try:
        items = _items(engine, version, slot, moment.now)
    except _Failed as error:
        _log.warning("slot.failed workflow=%s version=%d slot=%s", version.name, version.id, slot.isoformat())
        return _give_up(engine, leased, version, slot, str(error))
    values = {
        "project_id": moment.project.id,
        "version_id": version.id,
        "slot": slot,
        "step": IF if version.compiled.condition else 0,
        "items": text_array(map(to_json, items)),
        "now": moment.now,
    }
    with engine.ledger.transaction() as conn:
        finish(conn, moment.project.id, leased.work)
        runs = sorted(row[0] for row in conn.execute(_QUERIES["start_items"], values))
        work = add(conn, moment.project.id, "advance", list(chunks(runs, CHUNK)), moment.now)
    _log.info("slot.started workflow=%s slot=%s runs=%d", version.name, slot.isoformat(), len(runs))
    return work


def give_up_slot(engine: Engine, moment: Moment, leased: Leased) -> list[int]:
    """Keep a slot that worker after worker died over as a dead letter; nothing of it starts. Raises LeaseLost."""
    version = engine.memory.version(engine.ledger, leased.work.ids[0])
    why = f"{leased.work.deaths} workers died while they asked `each`."
    _log.error("slot.given_up workflow=%s version=%d deaths=%d", version.name, version.id, leased.work.deaths)
    return _give_up(engine, leased, version, leased.work.slot or moment.now, why)


class _Failed(Permanent):
    """`each` can't be asked."""


def _items(engine: Engine, version: Version, slot: datetime, now: datetime) -> list[dict[str, Any]]:
    each, trigger = version.compiled.each, version.compiled.spec.trigger
    if each is None or not isinstance(trigger, ScheduleTrigger):
        return []
    try:
        with engine.source.read() as conn:
            found = run_statement(conn, each, Batch(ids=[_RUN], at=[slot]), now, cap=MOST_ITEMS)
    except RowCapExceeded as error:
        raise _Failed(str(error)) from error
    except Error as error:
        if not is_fault_of_rows(error):
            raise
        raise _Failed(f"Postgres says: {said(error)}.") from error
    return _first_of_each_key(found.get(_RUN, []), trigger.key)


def _first_of_each_key(items: Sequence[dict[str, Any]], key: Sequence[str]) -> list[dict[str, Any]]:
    by_key = {to_json([item.get(name) for name in key]): item for item in reversed(items)}
    return list(reversed(by_key.values()))


def _give_up(engine: Engine, leased: Leased, version: Version, slot: datetime, why: str) -> list[int]:
    values = {"project_id": engine.ledger.project_id, "version_id": version.id, "error": why}
    with engine.ledger.transaction() as conn:
        finish(conn, engine.ledger.project_id, leased.work)
        conn.execute(_QUERIES["keep_unexpanded"], values | {"slot": to_json({"slot": slot})})
    return []
