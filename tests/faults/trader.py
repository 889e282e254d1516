"""Writes rows as applications do: several connections whose transactions overlap, commit out of order, and roll back.

The same seed writes the same, as long as no connection is lost. Only what was committed goes into the history: where
the answer to a COMMIT was lost, the database is asked whether it counted.
"""

import time
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from random import Random
from types import TracebackType
from typing import Any, Self

import psycopg
from psycopg import Connection, sql
from psycopg.pq import TransactionStatus
from psycopg.types.json import Jsonb

from tests.faults.history import History

Row = dict[str, Any]
_Pair = tuple[Row | None, Row | None]
"""A row before and after."""
PEOPLE, TEAMS = 12, 4
STATES = {"parcels": ("new", "packed", "sent"), "invoices": ("draft", "open", "paid")}
TABLES = ("parcels", "invoices", "alarms")
_MOST_AT_ONCE = 25
_PATIENCE = 60.0
_INSERT = "INSERT INTO trade.{table} SELECT * FROM jsonb_populate_recordset(NULL::trade.{table}, %s)"
_UPDATE = (
    "UPDATE trade.{table} t SET {columns} FROM jsonb_populate_recordset(NULL::trade.{table}, %s) n WHERE t.id = n.id"
)
_DELETE = "DELETE FROM trade.{table} t USING jsonb_populate_recordset(NULL::trade.{table}, %s) n WHERE t.id = n.id"


@dataclass
class _Session:
    """A connection with its own rows, so that no two ever wait for each other, and its open transaction."""

    number: int
    rows: dict[str, dict[int, Row]]
    """As committed."""
    conn: Connection[Any] | None = None
    transaction: int | None = None
    pending: dict[str, dict[int, Row]] = field(default_factory=dict)
    """As the open transaction sees them."""
    changes: list[dict[str, Any]] = field(default_factory=list)


class Trader:
    """The application. Not for several threads at once; a context manager."""

    def __init__(self, url: str, history: History, *, seed: int = 1, sessions: int = 3) -> None:
        self._url = url
        self._history = history
        self._random = Random(seed)  # noqa: S311  # repeatable
        self._sessions = [_Session(number, {table: {} for table in TABLES}) for number in range(sessions)]
        self._drawn = dict.fromkeys(TABLES, 0)
        self._transactions = 0
        self.rows_written = 0

    def act(self, statements: int) -> None:
        """Execute some statements on all connections in turn, and end every transaction."""
        for _ in range(statements):
            session = self._random.choice(self._sessions)
            if session.transaction is not None and self._random.random() < 0.3:
                self._end(session)
            else:
                self._statement(session)
        for session in self._sessions:
            if session.transaction is not None:
                self._end(session)

    def write(self, table: str, rows: int = 1, **values: Any) -> None:
        """Insert some rows in one transaction of their own."""
        session = self._sessions[0]
        fresh: list[_Pair] = [(None, {**self._fresh(session, table), **values}) for _ in range(rows)]
        self._execute(session, table, "insert", fresh)
        self._end(session, commit=True)

    def change(self, table: str, **values: Any) -> None:
        """Update every row of the first connection in a table, in one transaction of its own."""
        session = self._sessions[0]
        rows = list(session.rows[table].values())
        self._execute(session, table, "update", [(row, self._next(row, **values)) for row in rows])
        self._end(session, commit=True)

    def rows(self) -> dict[str, dict[int, Row]]:
        """Return what should be in the tables now."""
        return {table: {k: v for one in self._sessions for k, v in one.rows[table].items()} for table in TABLES}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for session in self._sessions:
            if session.conn is not None:
                session.conn.close()

    def _statement(self, session: _Session) -> None:
        """Do one of the things that applications do."""
        table = self._random.choice(TABLES)
        there = list((session.pending or session.rows)[table].values())
        op = self._random.choices(("insert", "update", "delete"), (4, 6, 1))[0] if there else "insert"
        count = self._random.choices((1, 2, _MOST_AT_ONCE), (12, 3, 1))[0]
        pairs: list[_Pair]
        if op == "insert":
            pairs = [(None, self._fresh(session, table)) for _ in range(count)]
        else:
            rows = self._random.sample(there, min(count, len(there)))
            pairs = [(row, self._next(row) if op == "update" else None) for row in rows]
        self._execute(session, table, op, pairs, undone=self._random.random() < 0.1)

    def _fresh(self, session: _Session, table: str) -> Row:
        self._drawn[table] += 1
        row: Row = {"id": self._drawn[table] * len(self._sessions) + session.number, "version": 1}
        if table == "alarms":
            return {**row, "team": self._random.randrange(TEAMS), "level": self._random.randrange(3)}
        return {**row, "person": self._random.randint(1, PEOPLE), "state": self._random.choice(STATES[table])}

    def _next(self, row: Row, **values: Any) -> Row:
        """Return the row after another write."""
        written: Row
        if "level" in row:
            written = {**row, "level": max(0, row["level"] + self._random.choice((-1, 0, 1)))}
        else:
            table = next(table for table, states in STATES.items() if row["state"] in states)
            written = {**row, "state": self._random.choice(STATES[table])}
        return {**written, **values, "version": row["version"] + 1}

    def _execute(self, session: _Session, table: str, op: str, pairs: list[_Pair], *, undone: bool = False) -> None:
        """Execute one statement over all pairs of rows; `undone`: in a savepoint that is rolled back."""
        try:
            conn = self._begin(session)
            stated = time.time()
            with conn.transaction(force_rollback=True) if undone else nullcontext():
                conn.execute(_statement(table, op, pairs), (Jsonb([new or old for old, new in pairs]),))
        except psycopg.OperationalError:
            self._lose(session)
            return
        if undone:
            return
        for old, new in pairs:
            row = new or old or {}
            session.changes.append({"table": table, "op": op, "old": old, "new": new, "stated": stated})
            if new is None:
                del session.pending[table][row["id"]]
            else:
                session.pending[table][row["id"]] = new

    def _begin(self, session: _Session) -> Connection[Any]:
        if session.transaction is None:
            self._transactions += 1
            session.transaction = self._transactions
            session.pending = {table: dict(rows) for table, rows in session.rows.items()}
        if session.conn is None or session.conn.closed:
            session.conn = psycopg.connect(self._url)
        if session.conn.info.transaction_status == TransactionStatus.IDLE:
            session.conn.execute("SELECT")  # begins; else a savepoint would be a transaction of its own
        return session.conn

    def _end(self, session: _Session, *, commit: bool | None = None) -> None:
        """Commit, or now and then roll back."""
        commits = self._random.random() < 0.85 if commit is None else commit
        if session.conn is None or not session.changes or not commits:
            with suppress(psycopg.OperationalError):
                if session.conn is not None:
                    session.conn.rollback()
            self._forget(session)
            return
        try:
            session.conn.execute("INSERT INTO trade.done VALUES (%s)", (session.transaction,))
            session.conn.commit()
        except psycopg.OperationalError:
            if not self._is_done(session.transaction):
                self._lose(session)
                return
        self._history.write("committed", transaction=session.transaction, changes=session.changes)
        self.rows_written += len(session.changes)
        session.rows = session.pending
        self._forget(session)

    def _is_done(self, transaction: int | None) -> bool:
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                with psycopg.connect(self._url, autocommit=True) as conn:
                    # Whoever inserts the same number waits until the transaction in doubt is over.
                    done = "INSERT INTO trade.done VALUES (%s) ON CONFLICT DO NOTHING"
                    return conn.execute(done, (transaction,)).rowcount == 0
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def _lose(self, session: _Session) -> None:
        """Start anew after a connection was lost: what it had not committed never happened."""
        if session.conn is not None:
            session.conn.close()
            session.conn = None
        self._history.write("rolled back", transaction=session.transaction)
        self._forget(session)

    @staticmethod
    def _forget(session: _Session) -> None:
        session.transaction, session.changes, session.pending = None, [], {}


def _statement(table: str, op: str, pairs: list[_Pair]) -> sql.Composed:
    text = {"insert": _INSERT, "update": _UPDATE, "delete": _DELETE}[op]
    names = sorted(set(pairs[0][1] or {}) - {"id"})
    columns = sql.SQL(", ").join(sql.SQL("{0} = n.{0}").format(sql.Identifier(name)) for name in names)
    return sql.SQL(text).format(table=sql.Identifier(table), columns=columns)


def tables_as_they_are(url: str) -> dict[str, dict[int, Row]]:
    """Return what is in the tables, to be compared with what the trader says."""
    with psycopg.connect(url) as conn:
        return {table: dict(_rows(conn, table)) for table in TABLES}


def _rows(conn: Connection[Any], table: str) -> Iterator[tuple[int, Row]]:
    query = sql.SQL("SELECT to_jsonb(t) FROM trade.{} t").format(sql.Identifier(table))
    yield from ((row["id"], row) for (row,) in conn.execute(query))
