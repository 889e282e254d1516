"""Sets the stage for a schedule: rows that the slot finds, so that somebody is told."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from croniter import croniter
from psycopg import Error

from runtime.rehearsal.chain import who_is_told
from runtime.rehearsal.conditions import Bound
from runtime.rehearsal.people import Served, Unreachable, serve
from runtime.rehearsal.row import Row
from runtime.rehearsal.rows import NoRow
from runtime.rehearsal.workshop import Workshop
from runtime.source.batch import Batch
from runtime.spec.model import ScheduleTrigger


@dataclass(frozen=True)
class Agenda:
    """What a slot finds."""

    slot: datetime
    rows: tuple[Row, ...]
    why_not: str
    """Why nobody would be told, as far as the statements can say; empty when somebody would."""
    unreachable: tuple[Unreachable, ...]


def next_slot(trigger: ScheduleTrigger, after: datetime) -> datetime:
    """Return the first instant after another that the rule names, read in its zone."""
    local = after.astimezone(ZoneInfo(trigger.zone))
    found: datetime = croniter(trigger.schedule, local).get_next(datetime)
    return found.astimezone(UTC)


def arrange_agenda(shop: Workshop, trigger: ScheduleTrigger) -> Agenda:
    """Make rows so that the slot finds an item, and the item somebody to tell."""
    environment: dict[str, Bound] = {"event": shop.event}
    witness, served, item = shop.witness(), Served(), None
    if trigger.each:
        try:
            witness.query(shop.found.fragments["/trigger/each"].tree, environment)
        except NoRow as none:
            served.reasons["/trigger/each"] = str(none)
        item = _item(shop)
        if item is not None:
            environment["item"] = Bound(item, {c.name: c.type for c in shop.compiled.item_columns})
    if item is not None or not trigger.each:
        later = serve(shop.found, witness, environment, shop.at)
        served.reasons |= later.reasons
        served.unreachable += later.unreachable
    why = _why_nobody(shop, trigger, no_item=item is None)
    reasons = [why, *list(served.reasons.values())[:1]] if why else []
    return Agenda(shop.at, tuple(shop.rows.log), ": ".join(reasons), tuple(served.unreachable))


def _item(shop: Workshop) -> dict[str, str | None] | None:
    """Return the first item of `each` at the slot, as texts; None where there is none."""
    items = _items(shop, "(SELECT jsonb_object_agg(key, value) FROM jsonb_each_text(to_jsonb(found)))")
    return items[0] if items else None


def _items(shop: Workshop, as_written: str) -> Sequence[dict[str, str | None]]:
    statement = shop.compiled.each
    if statement is None:
        return []
    values = Batch(ids=[0], at=[shop.at]).parameters(now=shop.at, cap=1000)
    with suppress(Error), shop.conn.transaction(force_rollback=True):
        rows = shop.conn.execute(f"SELECT {as_written} FROM ({statement.sql}) AS found LIMIT 1", values).fetchall()
        return [row[0] for row in rows]
    return []


def _why_nobody(shop: Workshop, trigger: ScheduleTrigger, *, no_item: bool) -> str:
    if trigger.each and no_item:
        return "`each` returns no row"
    item = None
    if trigger.each:
        found = _items(shop, "to_jsonb(found)::text")
        item = str(found[0]) if found else None
    return who_is_told(shop.conn, shop.compiled, at=shop.at, zone=shop.found.catalog.zone, item=item).why_not
