"""Asks the compiled statements themselves, one after the other, whether a run would end in somebody being told."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection, Error

from runtime.errors import Permanent
from runtime.rehearsal.durations import duration_end
from runtime.source.batch import Batch
from runtime.source.statements import holds, instants, run_statement
from runtime.spec.compiled import CompiledStep, CompiledWorkflow

_RUN = 1


@dataclass(frozen=True)
class Told:
    """How far it came."""

    people: int
    """Rows of `to` with an address, over all sends."""
    why_not: str
    """Where it ended, when there are none."""


def who_is_told(
    conn: Connection[Any],
    compiled: CompiledWorkflow,
    *,
    at: datetime,
    zone: str,
    new: str | None = None,
    old: str | None = None,
    item: str | None = None,
) -> Told:
    """Return whom one run would tell that begins at that instant; rows are JSON. Nothing is written."""
    batch = Batch(ids=[_RUN], at=[at], new=[new], old=[old], item=[item])
    try:
        with conn.transaction(force_rollback=True):
            return _walk(conn, compiled, batch, at, zone)
    except (Error, Permanent) as error:
        return Told(0, f"a statement failed: {str(error).splitlines()[0]}")


def _walk(conn: Connection[Any], compiled: CompiledWorkflow, batch: Batch, now: datetime, zone: str) -> Told:
    for condition, name in ((compiled.condition, "if"), (compiled.while_, "while")):
        if condition is not None and not holds(conn, condition, batch, now)[_RUN]:
            return Told(0, f"`{name}` does not hold")
    context: dict[str, list[dict[str, Any]]] = {}
    people, reasons = 0, []
    for step in compiled.steps:
        now = _later(conn, step, batch, now, zone)
        current = Batch(batch.ids, batch.at, batch.new, batch.old, batch.item, [json.dumps(context, default=str)])
        if step.condition is not None and not holds(conn, step.condition, current, now)[_RUN]:
            reasons += [f"`if` of {step.name} does not hold"] if step.kind == "send" else []
            continue
        if step.query is None:
            continue
        rows = run_statement(conn, step.query, current, now).get(_RUN, [])
        if step.kind == "query":
            context[step.name] = rows
            continue
        reached = [row for row in rows if _address(step, compiled, row)]
        people += len(reached)
        if not reached:
            reasons.append(f"`to` of {step.name} returns {'nobody with an address' if rows else 'nobody'}")
    return Told(people, "" if people else "; ".join(reasons) or "no send is reached")


def _later(conn: Connection[Any], step: CompiledStep, batch: Batch, now: datetime, zone: str) -> datetime:
    """Return when the run comes to the end of a step: waits take their time, nothing else does."""
    if step.until is not None:
        return max(now, instants(conn, step.until, batch, now)[_RUN] or now)
    if step.seconds is None:
        return now
    return duration_end(conn, now, months=step.months, seconds=step.seconds, zone=zone)


def _address(step: CompiledStep, compiled: CompiledWorkflow, row: Mapping[str, Any]) -> bool:
    sends = {getattr(one, "send", ""): one for one in compiled.spec.steps}
    channels = getattr(sends.get(step.name), "channels", ())
    return any(row.get(channel.value) for channel in channels)
