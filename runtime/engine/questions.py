"""Asks compiled statements for many runs at once, as the reader; a run whose question can't be answered fails alone."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from psycopg import Connection, Error

from runtime.engine.faults import in_halves, is_fault_of_statement
from runtime.engine.runs import Decisions, Run, batch_of
from runtime.source.batch import Batch
from runtime.source.reader import Source
from runtime.source.reader import attempt as one_attempt
from runtime.source.statements import ROW_CAP, RowCapExceeded, Stream, holds, instants, run_statement, stream
from runtime.spec.compiled import Statement

Answer = TypeVar("Answer")
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Questions:
    """One transaction of the reader. Each answer leaves out the runs that failed over it, which is decided already."""

    conn: Connection[Any]
    decided: Decisions
    alive: Callable[[], None]
    """Called before each statement: keeps the work ours, or raises LeaseLost."""

    def holds(self, statement: Statement, runs: Sequence[Run], name: str) -> dict[int, bool]:
        """Return for each run whether the condition is true; `name` is the step's, for the record."""
        return self._ask(statement, runs, name, lambda batch: holds(self.conn, statement, batch, self.decided.now))

    def instants(self, statement: Statement, runs: Sequence[Run], name: str) -> dict[int, datetime | None]:
        """Return for each run the instant, or None where there is none."""
        return self._ask(statement, runs, name, lambda batch: instants(self.conn, statement, batch, self.decided.now))

    def rows(self, statement: Statement, runs: Sequence[Run], name: str) -> dict[int, Rows]:
        """Return for each run its rows, an empty list where there are none; more than a run may have fail the run."""
        found, over = self.rows_up_to(statement, runs, name, cap=ROW_CAP)
        for run_id, error in over.items():
            self.decided.fail(self.decided.runs[run_id], name, str(error))
        return found

    def rows_up_to(
        self, statement: Statement, runs: Sequence[Run], name: str, *, cap: int
    ) -> tuple[dict[int, Rows], dict[int, RowCapExceeded]]:
        """Return each run's rows; and instead of them the error, for runs that have more than `cap`."""
        over: dict[int, RowCapExceeded] = {}

        def fetch(batch: Batch) -> dict[int, Rows]:
            while True:
                try:
                    found = run_statement(self.conn, statement, batch, self.decided.now, cap=cap)
                except RowCapExceeded as error:
                    over.update({run_id: RowCapExceeded([run_id], cap) for run_id in error.run_ids})
                    batch = batch.only(set(batch.ids) - set(error.run_ids))
                else:
                    return {run_id: found.get(run_id, []) for run_id in batch.ids}

        return self._ask(statement, runs, name, fetch), over

    def stream(self, statement: Statement, run: Run, name: str, *, cap: int) -> dict[int, Stream]:
        """Return one run's rows, which are read when they are needed and as long as this transaction lasts.

        Nothing, when there are more than `cap`: then the run has failed.
        """

        def fetch(batch: Batch) -> dict[int, Stream]:
            return {run.id: stream(self.conn, statement, batch, self.decided.now, cap=cap)}

        try:
            return self._ask(statement, [run], name, fetch)
        except RowCapExceeded as error:
            self.decided.fail(run, name, str(error))
            return {}

    def _ask(
        self, statement: Statement, runs: Sequence[Run], name: str, fetch: Callable[[Batch], Mapping[int, Answer]]
    ) -> dict[int, Answer]:
        answers: dict[int, Answer] = {}
        whole = batch_of(runs)

        def attempt(ids: Sequence[int]) -> None:
            self.alive()
            with one_attempt(self.conn):
                answers.update(fetch(whole if len(ids) == len(whole.ids) else whole.only(set(ids))))

        def give_up(ids: Sequence[int], why: str) -> None:
            for run_id in ids:
                self.decided.fail(self.decided.runs[run_id], name, f"Postgres says: {why}.")

        in_halves(whole.ids, attempt, give_up=give_up, fails_always=lambda: self._fails(statement))
        return answers

    def _fails(self, statement: Statement) -> bool:
        """Return whether the statement fails over no run at all: a right, a table or a column is missing."""
        try:
            with one_attempt(self.conn):
                nothing = Batch([], []).parameters(now=self.decided.now, cap=1)
                self.conn.execute(statement.sql.encode(), nothing).fetchall()
        except Error as error:
            return is_fault_of_statement(error)
        return False


@contextmanager
def asking(source: Source, decided: Decisions, alive: Callable[[], None]) -> Iterator[Questions]:
    """Yield the questions of one transaction of the reader."""
    with source.asking() as conn:
        yield Questions(conn, decided, alive)
