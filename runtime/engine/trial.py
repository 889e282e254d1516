"""Triggers asked of a row as it is now, as the reader: a hint where nothing was recorded, and labelled so."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection, DataError, Error, sql

from runtime.capture.payload import json_object
from runtime.engine.answer import ClauseAnswer, Trial
from runtime.engine.faults import is_fault_of_rows, said
from runtime.engine.story import spoken
from runtime.errors import NotFound
from runtime.publishing.versions import Version
from runtime.source.batch import Batch
from runtime.source.catalog import read_catalog
from runtime.source.statements import holds
from runtime.spec.compiled import Match, Statement
from runtime.spec.model import ChangeTrigger
from runtime.spec.render import qualified, quoted
from runtime.spec.schema import Column, Table

_RUN = 0


@dataclass(frozen=True)
class RowKey:
    """Which row is meant."""

    table: Table
    values: Mapping[str, str]

    def __str__(self) -> str:
        """Return it for people."""
        return spoken(self.values)

    def where(self, side: str) -> sql.Composed:
        """Return the condition that picks the row out of its table, known there as `side`."""
        parts = [
            sql.SQL("{} = {}").format(sql.Identifier(side, column.name), self._typed(column))
            for column in self._columns
        ]
        return sql.SQL(" AND ").join(parts)

    def as_captured(self, conn: Connection[Any]) -> str:
        """Return the key as hooks write it. Raises NotFound when the values can't be one."""
        pairs = [sql.SQL("{} AS {}").format(self._typed(c), sql.Identifier(c.name)) for c in self._columns]
        query = sql.SQL("SELECT ({})::text FROM (SELECT {}) AS k").format(
            json_object(self._columns, "k"), sql.SQL(", ").join(pairs)
        )
        try:
            with conn.transaction():
                return str(conn.execute(query).fetchall()[0][0])
        except DataError as error:
            raise NotFound(f"{self} can't be a key of {self.table.relation}: {said(error)}.") from error

    @property
    def _columns(self) -> list[Column]:
        return [column for name in self.table.primary_key if (column := self.table.column(name))]

    def _typed(self, column: Column) -> sql.Composed:
        return sql.SQL("CAST({} AS {})").format(sql.Literal(self.values[column.name]), sql.SQL(column.type))


def row_key(conn: Connection[Any], relation: str, key: str | Mapping[str, Any]) -> RowKey:
    """Return the key of a row of `schema.table`; a text has the values of a composite key with commas between them."""
    table = read_catalog(conn).table(relation)
    if table is None:
        raise NotFound(f"There is no table {relation!r} that Tidings may read. `tidings status` lists them.")
    names = table.primary_key
    if not names:
        raise NotFound(f"{relation} has no primary key, so no row can be named. Ask for an address or a workflow.")
    if isinstance(key, Mapping):
        values = {name: str(value) for name, value in key.items()}
    else:
        parts = [part.strip() for part in key.split(",")] if len(names) > 1 else [key.strip()]
        values = dict(zip(names, parts, strict=False))
    if set(values) != set(names):
        raise NotFound(f"The key of {relation} is {', '.join(names)}; give a value for each, like 1,2.")
    return RowKey(table, values)


def ask_as_it_is_now(conn: Connection[Any], version: Version, key: RowKey, now: datetime) -> Trial:
    """Ask every part of a version's trigger of a row, `if` and `while` too; in the reader's transaction."""
    match = version.compiled.match
    trial = Trial(version.name, version.number, key.table.relation, str(key), exists=False)
    if match is None:
        return trial
    row = _row(conn, match, key)
    if row is None:
        return trial
    answers = (*_clauses(conn, version, match, key), *_conditions(conn, version, row, match, now))
    return Trial(version.name, version.number, key.table.relation, str(key), exists=True, clauses=answers)


def _row(conn: Connection[Any], match: Match, key: RowKey) -> str | None:
    """Return the row as a hook would capture it."""
    columns = [column for name in match.hook_columns if (column := key.table.column(name))]
    query = sql.SQL("SELECT coalesce({}, '{{}}')::text FROM {} AS n WHERE {}").format(
        json_object(columns, "n"), sql.Identifier(key.table.schema_name, key.table.name), key.where("n")
    )
    found = conn.execute(query).fetchone()
    return str(found[0]) if found else None


def _clauses(conn: Connection[Any], version: Version, match: Match, key: RowKey) -> Iterator[ClauseAnswer]:
    trigger = version.compiled.spec.trigger
    if not isinstance(trigger, ChangeTrigger):
        return
    written = {"becomes": trigger.becomes, "when": trigger.when, "columns": ", ".join(trigger.columns)}
    side, other = ("old", "new") if match.ops == ("delete",) else ("new", "old")
    for clause in match.clauses:
        text = written.get(clause.name, "")
        if clause.name == "columns":
            yield ClauseAnswer("columns", text, None, "it depends on what a change changes")
        elif text and quoted(other) in clause.sql:
            yield ClauseAnswer(clause.name, text, None, f"it asks for `{other}`, which is not known")
        elif text:
            yield _asked(conn, ClauseAnswer(clause.name, text, None), _question(match, clause.sql, side, key))


def _question(match: Match, condition: str, side: str, key: RowKey) -> sql.Composed:
    op = "delete" if side == "old" else next((op for op in match.ops if op != "delete"), "update")
    return sql.SQL("SELECT {} FROM {} AS {} CROSS JOIN (SELECT {}::text AS op) AS event WHERE {}").format(
        sql.Composed([sql.SQL(condition)]),
        sql.Composed([sql.SQL(qualified(match.relation))]),
        sql.Identifier(side),
        sql.Literal(op),
        key.where(side),
    )


def _asked(conn: Connection[Any], clause: ClauseAnswer, question: sql.Composed) -> ClauseAnswer:
    try:
        with conn.transaction():
            found = conn.execute(question).fetchone()
    except Error as error:
        if not is_fault_of_rows(error):
            raise
        return ClauseAnswer(clause.name, clause.sql, None, f"Postgres says: {said(error)}")
    return ClauseAnswer(clause.name, clause.sql, bool(found and found[0]))


def _conditions(
    conn: Connection[Any], version: Version, row: str, match: Match, now: datetime
) -> Iterator[ClauseAnswer]:
    """Ask the conditions that may read other tables."""
    spec, compiled = version.compiled.spec, version.compiled
    deleted = match.ops == ("delete",)
    batch = Batch(ids=[_RUN], at=[now], new=[None if deleted else row], old=[row if deleted else None])
    asked: list[tuple[str, str, Statement | None]] = [
        ("if", spec.condition, compiled.condition),
        ("while", spec.while_, compiled.while_),
    ]
    for name, text, statement in asked:
        if statement is None:
            continue
        try:
            with conn.transaction():
                yield ClauseAnswer(name, text, holds(conn, statement, batch, now)[_RUN])
        except Error as error:
            if not is_fault_of_rows(error):
                raise
            yield ClauseAnswer(name, text, None, f"Postgres says: {said(error)}")
