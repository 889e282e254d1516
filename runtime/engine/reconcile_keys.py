"""Changes that are known by key only: what can be decided about them by the row as it is now.

An insert had nothing before it, so it can be decided. An update can where its trigger does not ask what was before, or
where a run must have been started since the row was inserted. What a deleted row was, nobody knows.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from psycopg import Connection, sql
from psycopg.rows import class_row

from runtime.capture.payload import json_object
from runtime.engine.reconcile_rows import Search, columns_of, holds_now, must_have_run
from runtime.engine.recover import Change
from runtime.engine.seams import Window
from runtime.ledger.arrays import text_array
from runtime.ledger.jsonb import from_json, to_json
from runtime.ledger.queries import load_queries
from runtime.publishing.versions import Version
from runtime.spec.compiled import Match
from runtime.spec.render import qualified, quoted
from runtime.spec.schema import Table

CHUNK = 500
_ID = "tidings id"
_OPS = {"i": "insert", "u": "update", "d": "delete"}
_QUERIES = load_queries("runtime.engine", "reconcile.sql")


class KeyOnly(NamedTuple):
    """A change of which a hook could keep the key alone."""

    id: int
    hook_id: int
    relation: str
    generation: int
    op: str
    key: str | None
    at: datetime
    acknowledged: bool


@dataclass(frozen=True)
class Decided:
    """What can be said of some changes known by key only."""

    owed: Mapping[int, Sequence[Change]]
    """Version → changes that must start a run of it."""
    settled: frozenset[int]
    """Those that are decided for every version: what they owe is in `owed`, and that may be nothing."""


def open_keys(conn: Connection[Any], project_id: int, window: Window) -> Iterator[list[KeyOnly]]:
    """Yield the changes of a window that are known by key only and not made up for, some hundred at a time."""
    after = 0
    while True:
        values = {
            "project_id": project_id,
            "begin": window.begin,
            "end": window.end,
            "shift": window.shift,
            "after": after,
            "limit": CHUNK,
        }
        with conn.cursor(row_factory=class_row(KeyOnly)) as cursor:
            found = cursor.execute(_QUERIES["open_keys"], values).fetchall()
        if not found:
            return
        yield found
        after = found[-1].id


@dataclass(frozen=True)
class Keys:
    """Decides about changes known by key only, for the versions whose they are."""

    project_id: int
    versions: Sequence[Version]
    """Every one that has a hook."""
    tables: Mapping[str, Table]
    """By name, as they are now."""
    searches: Mapping[int, Search]
    """Workflow → how its rows can be looked for, where they can."""

    def decide(self, ledger: Connection[Any], reader: Connection[Any], keys: Sequence[KeyOnly]) -> Decided:
        """Return what is owed and what is settled; asked of the rows first, and then of the ledger."""
        owed: dict[int, list[Change]] = {}
        undecided: set[int] = set()
        for version in self.versions:
            match = version.compiled.match
            own = [key for key in keys if _belongs(key, version) and match and _OPS[key.op] in match.ops]
            table = self.tables.get(match.relation) if match else None
            askable = [key for key in own if match and table and _is_askable(match, key)]
            undecided |= {key.id for key in own} - {key.id for key in askable}
            if match and table and askable:
                rows = _look_up(reader, match, table, keys=askable, since=self._since(version))
                told = self._told(ledger, version, askable)
                owed[version.id] = _owed(match, rows, told, keys=askable, undecided=undecided)
        return Decided(owed, frozenset(key.id for key in keys) - undecided)

    def _since(self, version: Version) -> tuple[str, datetime] | None:
        """Return the column that says when a row was inserted, and since when the version's trigger has watched it."""
        search = self.searches.get(version.workflow_id)
        return (search.created, search.watched) if search and search.covers(version) else None

    def _told(self, conn: Connection[Any], version: Version, keys: Sequence[KeyOnly]) -> dict[str, datetime]:
        """Return the keys for which the workflow has a run, with when its last change was."""
        values = {
            "project_id": self.project_id,
            "hook_id": version.hook_id,
            "workflow_id": version.workflow_id,
            "keys": text_array(key.key for key in keys),
        }
        return dict(conn.execute(_QUERIES["told_keys"], values).fetchall())


class _Found(NamedTuple):
    id: int
    new: str
    holds: bool
    watched: bool
    """Whether the row was inserted when its trigger was watching already."""


def _is_askable(match: Match, key: KeyOnly) -> bool:
    """Return whether a trigger may be decided for a change by the row alone."""
    if key.key is None or key.op == "d":
        return False
    return key.op == "i" or _is_free_of_old(match) or must_have_run(match)


def _owed(
    match: Match,
    rows: Mapping[int, _Found],
    told: Mapping[str, datetime],
    *,
    keys: Sequence[KeyOnly],
    undecided: set[int],
) -> list[Change]:
    """Return one change for each key that is owed a run; adds to `undecided` what the row does not tell."""
    owed: dict[str, Change] = {}
    free = _is_free_of_old(match)
    for key in keys:
        row, text = rows.get(key.id), key.key or ""
        before = told.get(text)
        if row is None:  # it is gone, and with it what it was
            undecided.add(key.id)
        elif not row.holds or text in owed or (before is not None and before >= key.at):
            continue  # nothing is owed, or it is owed or told already
        elif key.op == "i" or free or (before is None and row.watched):
            owed[text] = Change(key.op, key.generation, text, row.new, key.at)
        else:
            undecided.add(key.id)
    return list(owed.values())


def _look_up(
    conn: Connection[Any],
    match: Match,
    table: Table,
    *,
    keys: Sequence[KeyOnly],
    since: tuple[str, datetime] | None,
) -> dict[int, _Found]:
    """Return the rows as they are now, and whether the condition holds for each; one that is gone is absent."""
    found: dict[int, _Found] = {}
    for op in sorted({key.op for key in keys}):
        own = [from_json(key.key or "{}") | {_ID: key.id} for key in keys if key.op == op]
        text = _statement(match, table, _OPS[op], keys=own, since=since)
        found |= {row[0]: _Found(*row) for row in conn.execute(text).fetchall()}
    return found


def _statement(
    match: Match, table: Table, op: str, *, keys: Sequence[Mapping[str, Any]], since: tuple[str, datetime] | None
) -> sql.Composed:
    columns = columns_of(table, table.primary_key)
    types = [sql.SQL("{} {}").format(sql.Identifier(c.name), sql.Composed([sql.SQL(c.type)])) for c in columns]
    same = [sql.SQL("{} = {}").format(sql.Identifier("new", c.name), sql.Identifier("k", c.name)) for c in columns]
    watched: sql.Composable = sql.SQL("false")
    if since:
        watched = sql.SQL("coalesce({} >= {}, false)").format(sql.Identifier("new", since[0]), sql.Literal(since[1]))
    return sql.SQL(
        "SELECT k.{id}, coalesce({new}, '{{}}')::text, {holds}, {watched}"
        ' FROM jsonb_to_recordset({keys}::jsonb) AS k({id} int8, {types}) JOIN {table} AS "new" ON {same}'
    ).format(
        id=sql.Identifier(_ID),
        new=json_object(columns_of(table, match.hook_columns), "new"),
        holds=holds_now(match, op),
        watched=watched,
        keys=sql.Literal(to_json(keys)),
        types=sql.SQL(", ").join(types),
        table=sql.Composed([sql.SQL(qualified(match.relation))]),
        same=sql.SQL(" AND ").join(same),
    )


def _belongs(key: KeyOnly, version: Version) -> bool:
    first, end = version.from_generation or 0, version.until_generation
    return key.hook_id == version.hook_id and first <= key.generation and (end is None or key.generation < end)


def _is_free_of_old(match: Match) -> bool:
    return all(
        clause.name == "op" or (clause.name == "when" and quoted("old") not in clause.sql) for clause in match.clauses
    )
