"""A real row, or a slot's item, that stands for what would start a run: read as the reader, nothing is written."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from croniter import croniter
from psycopg import Connection, sql
from psycopg.errors import DataError, QueryCanceled

from runtime.errors import NotFound
from runtime.source.batch import Batch
from runtime.source.statements import run_statement
from runtime.spec.compiled import Match, Statement
from runtime.spec.model import ScheduleTrigger
from runtime.spec.render import qualified, quoted
from runtime.spec.schema import Catalog, Table

RUN = 0
"""The id that the one run of a preview goes by."""
_SEARCH = "3s"
"""How long a matching row is looked for before any row will do."""


@dataclass(frozen=True)
class Sample:
    """What one run would start from."""

    key: str
    """Which row or item it is, for people."""
    at: datetime
    """event.at"""
    new: Any = None
    old: Any = None
    item: Any = None
    notes: tuple[str, ...] = ()

    def batch(self, context: Mapping[str, Any]) -> Batch:
        """Return the run's data for statements; `context` holds the rows of earlier queries."""
        texts = [None if value is None else as_json(value) for value in (self.new, self.old, self.item)]
        new, old, item = ([text] for text in texts)
        return Batch(ids=[RUN], at=[self.at], new=new, old=old, item=item, context=[as_json(dict(context))])


def as_json(value: Any) -> str:
    """Write values of the user's database as JSON: what JSON has no form for becomes the text that Postgres reads."""
    return json.dumps(value, default=str, ensure_ascii=False)


def sample_row(
    conn: Connection[Any], match: Match, catalog: Catalog, *, now: datetime, key: str | Mapping[str, Any] | None
) -> Sample:
    """Return the row with that key, else the newest that matches the trigger, else the newest there is.

    Newest is by the primary key. Raises NotFound when there is no such row, or none at all.
    """
    table = catalog.table(match.relation)
    if table is None:
        raise NotFound(f"{match.relation} is gone, or nobody approved it. Validate the workflow again.")
    if key is not None:
        return _sampled(match, now, _row_by_key(conn, match, table, key))
    found = _matching_row(conn, match, table)
    note = ""
    if found is None:
        found = _row(conn, match, table, where="true")
        note = "No row was found that matches the trigger as it stands now: this is the newest row."
    if found is None:
        raise NotFound(f"{match.relation} has no row yet. Write one, or give a made-up row.")
    return _sampled(match, now, found, note)


def given_row(match: Match | None, row: Mapping[str, Any], now: datetime) -> Sample:
    """Return a sample of a made-up row, or of a made-up item of a schedule."""
    side = _side(match) if match else "item"
    return Sample("a made-up row", now, **{side: dict(row)}, notes=("The row is made up.",))


def sample_item(
    conn: Connection[Any],
    trigger: ScheduleTrigger,
    each: Statement | None,
    *,
    now: datetime,
    key: str | Mapping[str, Any] | None,
) -> Sample:
    """Return the schedule's next slot, with the item of that key, else the first that `each` returns for the slot."""
    slot = next_slot(trigger, now)
    if each is None:
        return Sample(f"the slot of {slot.isoformat()}", slot)
    items = run_statement(conn, each, Batch(ids=[RUN], at=[slot]), slot).get(RUN, [])
    if key is not None:
        wanted = _key_values(key, trigger.key)
        items = [item for item in items if all(str(item.get(name)) == value for name, value in wanted.items())]
    if not items:
        which = f"no item with the key {key!r}" if key is not None else "no item"
        raise NotFound(f"For the slot of {slot.isoformat()} `each` returns {which}, so no run would start.")
    more = (f"`each` returns {len(items):,} items for that slot: this is the first.",) if len(items) > 1 else ()
    return Sample(_spoken({name: items[0].get(name) for name in trigger.key}), slot, item=items[0], notes=more)


def next_slot(trigger: ScheduleTrigger, now: datetime) -> datetime:
    """Return the schedule's first slot after `now`."""
    slot: datetime = croniter(trigger.schedule, now.astimezone(ZoneInfo(trigger.zone))).get_next(datetime)
    return slot.astimezone(now.tzinfo)


@dataclass(frozen=True)
class _Found:
    row: dict[str, Any]
    holds: bool


def _matching_row(conn: Connection[Any], match: Match, table: Table) -> _Found | None:
    """Look for the newest row that matches, for a while: without an index that may mean every row there is."""
    try:
        with conn.transaction(force_rollback=True):  # the shorter time-out ends with it
            conn.execute("SELECT set_config('statement_timeout', %s, true)", (_SEARCH,))
            return _row(conn, match, table, where=f"({match.condition})")
    except QueryCanceled:
        return None


def _row_by_key(conn: Connection[Any], match: Match, table: Table, key: str | Mapping[str, Any]) -> _Found:
    if not match.key:
        raise NotFound(f"{match.relation} has no primary key, so no row can be named. Leave the key out.")
    values = _key_values(key, match.key)
    types = {column.name: column.type for column in table.columns}
    side = quoted(_side(match))
    conditions = [
        f"{side}.{quoted(name)} = CAST({sql.Literal(value).as_string(conn)} AS {types[name]})"
        for name, value in values.items()
    ]
    try:
        with conn.transaction():
            found = _row(conn, match, table, where=" AND ".join(conditions))
    except DataError as error:
        raise NotFound(f"{key!r} can't be a key of {match.relation}: {error.diag.message_primary}.") from error
    if found is None:
        raise NotFound(f"{match.relation} has no row with the key {_spoken(values)}.")
    return found


def _row(conn: Connection[Any], match: Match, table: Table, *, where: str) -> _Found | None:
    """Return the newest row for which `where` holds, and whether it matches the trigger as if it were written now."""
    side = _side(match)
    names = ", ".join(f"{quoted(side)}.{quoted(name)}" for name in match.hook_columns)
    newest = ", ".join(f"{quoted(side)}.{quoted(name)} DESC" for name in match.key)
    relation = qualified(table.relation)
    other = quoted("old" if side == "new" else "new")
    statement = (
        f"SELECT pg_catalog.to_jsonb(picked) - 'tidings holds', picked.\"tidings holds\" FROM ("
        f'SELECT {names}, ({match.condition}) AS "tidings holds" FROM {relation} AS {quoted(side)}'
        f" LEFT JOIN {relation} AS {other} ON false CROSS JOIN (SELECT {_operation(match)}::text AS op) AS event"
        f" WHERE {where}{f' ORDER BY {newest}' if newest else ''} LIMIT 1) AS picked"
    )
    found = conn.execute(statement.encode()).fetchone()
    return _Found(found[0], bool(found[1])) if found else None


def _sampled(match: Match, now: datetime, found: _Found, note: str = "") -> Sample:
    side = _side(match)
    notes = [note] if note else []
    if not note and not found.holds:
        notes.append("As the row stands now, it does not match the trigger: no run would start.")
    if side == "new" and "insert" not in match.ops:
        notes.append("What the row was before is not known here, so `old` is empty.")
    if side == "old":
        notes.append("Shown as if this row had just been deleted.")
    key = _spoken({name: found.row.get(name) for name in match.key}) or f"a row of {match.relation}"
    return Sample(key, now, **{side: found.row}, notes=tuple(notes))


def _side(match: Match) -> str:
    return "old" if match.ops == ("delete",) else "new"


def _operation(match: Match) -> str:
    return f"'{next(op for op in ('insert', 'update', 'delete') if op in match.ops)}'"


def _key_values(key: str | Mapping[str, Any], names: Sequence[str]) -> dict[str, str]:
    """Return key column → value; a text has the values of a composite key in order, with commas between them."""
    if isinstance(key, Mapping):
        values = {name: str(value) for name, value in key.items()}
    else:
        parts = [part.strip() for part in key.split(",")] if len(names) > 1 else [key]
        values = dict(zip(names, parts, strict=False))
    if set(values) != set(names):
        raise NotFound(f"The key has the columns {', '.join(names)}; give a value for each, like 1,2.")
    return values


def _spoken(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in values.items())
