"""Rows against changes: rows that, as they are now, look as if their change should have started a run.

What a row says of its past is little: not what it was before, not what it was in between, and of a deleted one nothing.
So only that counts as missing which must be wrong whatever happened in between; the rest is said to be unknown.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from psycopg import Connection, sql

from runtime.capture.payload import json_object
from runtime.engine.seams import Window
from runtime.ledger.arrays import text_array
from runtime.ledger.queries import load_queries
from runtime.publishing.versions import Version
from runtime.source.check import COST_CEILING
from runtime.source.describe import estimated_cost
from runtime.spec.compiled import Match
from runtime.spec.render import qualified, quoted
from runtime.spec.schema import Column, Table

CHUNK = 2_000
_MARGIN = timedelta(minutes=1)
"""A publish is recorded with the time at which it began; rows of this first minute may have come before the hook."""
_CREATED = {
    *("createdat", "createdon", "created", "datecreated", "createtime", "creationtime", "createddate"),
    *("insertedat", "inserted", "addedat", "registeredat", "joinedat", "placedat", "dateadded", "datejoined"),
}
_UPDATED = {
    *("updatedat", "updatedon", "updated", "dateupdated", "updatetime", "lastupdated", "lastupdatedat"),
    *("modifiedat", "modified", "datemodified", "lastmodified", "lastmodifiedat", "changedat", "updateddate"),
}
_NOW = ("now()", "current_timestamp", "clock_timestamp()", "transaction_timestamp()", "statement_timestamp()")
_QUERIES = load_queries("runtime.engine", "reconcile.sql")


class Row(NamedTuple):
    """A row that the condition holds for as it is now."""

    key: str
    """As hooks write it."""
    new: str
    """Likewise, the columns that the version needs."""
    at: datetime
    """When it came to be so, as far as the row tells."""
    sure: bool
    """Whether a run must have been started for it."""


@dataclass(frozen=True)
class Search:
    """How a live version's rows can be looked for in its table."""

    version: Version
    match: Match
    table: Table
    created: str
    """The column that says when a row was inserted."""
    updated: str
    """The one that says when it was changed; empty where there is none."""
    since: datetime
    """Since when the trigger has been what it is, on the server's clock."""
    shift: timedelta

    @property
    def watched(self) -> datetime:
        """Return from when on a row that was inserted must have been seen, on the server's clock."""
        return self.since + _MARGIN

    def covers(self, version: Version) -> bool:
        """Return whether a version, this or an earlier one of the workflow, has the same trigger on the same hook."""
        return _condition(version) == _condition(self.version)

    @property
    def times(self) -> str:
        """Return the columns it goes by, for people."""
        return " and ".join(filter(None, (self.created, self.updated)))


def search_for(version: Version, versions: Sequence[Version], table: Table | None, window: Window) -> Search | str:
    """Return how to look for a live version's rows, or why nobody can; `versions` are all that have hooks."""
    match = version.compiled.match
    if match is None or table is None:
        return "its table is not there, or not approved"
    if not table.primary_key or table.primary_key != match.key:
        return "the table has no primary key, or another one by now"
    if "insert" not in match.ops:
        return "it waits for no insert, and what rows were before an update or a delete they do not say"
    created = _time_column(table, _CREATED) or _time_column(table, set(), defaults=True)
    if not created:
        return "no column says when a row was inserted, such as created_at"
    updated = _time_column(table, _UPDATED)
    since = _since(version, versions) - window.shift
    return Search(version, match, table, created, updated if updated != created else "", since, window.shift)


def must_have_run(match: Match) -> bool:
    """Return whether a row for which the condition holds now must have had a run since it was inserted.

    So it is where every write that leads there starts one, and none of the clauses asks for anything else at that time.
    """
    names = {clause.name for clause in match.clauses}
    if names <= {"op", "columns"}:
        return True
    asks_old = any(quoted("old") in clause.sql for clause in match.clauses if clause.name == "when")
    one = len(names & {"becomes", "when"}) == 1
    return "update" in match.ops and "columns" not in names and one and not asks_old


def scan(conn: Connection[Any], search: Search, window: Window) -> Iterator[list[Row]]:
    """Yield the rows of a window for which the condition holds, some thousand at a time; in the reader's transaction.

    Raises ValueError when the server says that it would have to read too much.
    """
    statement = _statement(search, window).as_string(conn)
    cost = estimated_cost(conn, statement.replace("%", "%%"))
    if cost > COST_CEILING:
        raise ValueError(
            f"the server estimates a cost of {cost:,.0f}, the ceiling is {COST_CEILING:,.0f}: an index on "
            f"{search.times} would help, or a shorter window"
        )
    with conn.cursor(name="tidings_reconcile") as cursor:
        cursor.itersize = CHUNK
        cursor.execute(statement.encode())
        while rows := cursor.fetchmany(CHUNK):
            yield [Row(*row) for row in rows]


def unknown_to(conn: Connection[Any], project_id: int, search: Search, rows: Sequence[Row]) -> list[Row]:
    """Return the rows of which the ledger knows nothing, for this workflow: no run, no change that is on its way.

    Asked after the rows were read: then a row that is there has its change there, too.
    """
    values = {
        "project_id": project_id,
        "hook_id": search.version.hook_id,
        "workflow_id": search.version.workflow_id,
        "keys": text_array(row.key for row in rows),
    }
    known = {row[0] for row in conn.execute(_QUERIES["known_keys"], values)}
    return [row for row in rows if row.key not in known]


def columns_of(table: Table, names: Sequence[str]) -> list[Column]:
    """Return the columns of those names that are there."""
    return [column for name in names if (column := table.column(name))]


def holds_now(match: Match, op: str) -> sql.Composed:
    """Return SQL for the condition over "new", with nothing before."""
    condition = sql.Composed([sql.SQL(match.condition)])
    event = sql.SQL('(SELECT {}::text AS op) AS "event"').format(sql.Literal(op))
    nothing = sql.SQL('{} AS "old" ON false').format(sql.Composed([sql.SQL(qualified(match.relation))]))
    return sql.SQL("(SELECT {} FROM {} LEFT JOIN {})").format(condition, event, nothing)


def _statement(search: Search, window: Window) -> sql.Composed:
    begin, end = max(window.begin - search.shift, search.watched), window.end - search.shift
    created, since = _column(search.created), sql.Literal(search.watched)
    sure: sql.Composable = sql.SQL("true") if must_have_run(search.match) else sql.SQL("false")
    at: sql.Composable = created
    when = _between(created, begin, end)
    if search.updated:
        updated = _column(search.updated)
        at = sql.SQL("coalesce({}, {})").format(updated, created)
        sure = sql.SQL("({} OR {} IS NULL OR {} = {})").format(sure, updated, updated, created)
        when = sql.SQL("({} OR {})").format(when, _between(updated, begin, end))
    return sql.SQL(
        "SELECT ({key})::text, coalesce({new}, '{{}}')::text, {at}, {sure} FROM {table} AS \"new\""
        " WHERE {when} AND {created} >= {since} AND {holds}"
    ).format(
        key=json_object(columns_of(search.table, search.table.primary_key), "new"),
        new=json_object(columns_of(search.table, search.match.hook_columns), "new"),
        at=sql.SQL("least({}, {})::timestamptz").format(at, sql.Literal(end)),
        sure=sure,
        table=sql.Composed([sql.SQL(qualified(search.match.relation))]),
        when=when,
        created=created,
        since=since,
        holds=holds_now(search.match, "insert"),
    )


def _between(column: sql.Composable, begin: datetime, end: datetime) -> sql.Composed:
    return sql.SQL("{0} >= {1} AND {0} < {2}").format(column, sql.Literal(begin), sql.Literal(end))


def _column(name: str) -> sql.Composable:
    return sql.Identifier("new", name)


def _since(version: Version, versions: Sequence[Version]) -> datetime:
    """Return since when versions with this very condition have followed each other without a gap."""
    earlier = [v for v in versions if v.workflow_id == version.workflow_id and v.id < version.id]
    following = version
    for before in sorted(earlier, key=lambda v: v.id, reverse=True):
        if _condition(before) != _condition(version) or before.retired_at != following.published_at:
            break
        following = before
    return following.published_at


def _condition(version: Version) -> tuple[int | None, str]:
    return version.hook_id, version.compiled.match.condition if version.compiled.match else ""


def _time_column(table: Table, names: set[str], *, defaults: bool = False) -> str:
    """Return the first column of instants with such a name, or with the present as its default."""
    for column in table.columns:
        named = column.name.lower().replace("_", "").replace(" ", "") in names
        is_time = (column.base or column.type).startswith("timestamp")
        if is_time and (named or (defaults and column.default.lower().startswith(_NOW))):
            return column.name
    return ""
