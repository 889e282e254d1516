"""Performs work of kind deliver: frozen requests go out, and what became of them is written down.

For each request there are two transactions: one commits that it is about to be sent, before anything leaves, and writes
what became of the one before; the next writes its own result. So a worker that dies at any moment leaves at most one
request in doubt, and it is known which.
"""

import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from psycopg import Connection
from psycopg.rows import class_row

from runtime.delivery.attempt import OpenBatch, Result, attempt, held, without_attempt
from runtime.delivery.provider import Delivery
from runtime.delivery.recipients import storable
from runtime.ledger.database import Ledger
from runtime.ledger.queries import load_queries
from runtime.ledger.work import Work, finish, keep, postpone

_QUERIES = load_queries("runtime.delivery")
_LEASE = timedelta(seconds=90)
"""Longer than any provider lets a request last."""
_LONGEST_WORDS = 1_000
_MUST_STAY = "The project is held, or left production mode: nothing may go to this address now."


def deliver(ledger: Ledger, delivery: Delivery, work: Work, *, now: datetime) -> list[int]:
    """Send what the work holds, and finish it or give it back for a later time; return the work that follows: none.

    Of the batches that can't be finished, all are tried again at the latest time that one of them asked for. Raises
    LeaseLost when another worker took over in the meantime; then nothing more is written here.
    """
    round_of = _Deliveries(ledger.project_id, delivery, work, now)
    while True:
        with ledger.transaction() as conn:
            batch = round_of.next(conn)
        if batch is None:
            return []
        round_of.attempt(batch)


class _Deliveries:
    """One work item's batches on their way; lives as long as one call of `deliver`."""

    def __init__(self, project_id: int, delivery: Delivery, work: Work, now: datetime) -> None:
        self._project_id = project_id
        self._providers = delivery.providers
        self._work = work
        self._now = now
        self._waiting: list[OpenBatch] | None = None
        self._unwritten: list[Result] = []
        self._due: list[datetime] = []

    def next(self, conn: Connection[Any]) -> OpenBatch | None:
        """Write what is known, and mark the next batch as being sent; None: everything is done, and so is the work."""
        keep(conn, self._project_id, self._work, _LEASE)
        if self._waiting is None:
            self._waiting = self._open(conn)
        self._write(conn)
        while self._waiting:
            batch = self._waiting.pop(0)
            result = without_attempt(
                batch, self._providers.get(batch.provider), now=self._now, turns=self._work.attempts
            )
            if result is None and self._begins(conn, batch):
                return batch
            self._note(result or held(batch, "mode", _MUST_STAY, now=self._now, turns=self._work.attempts))
        self._write(conn)
        if self._due:
            postpone(conn, self._project_id, self._work, max(self._due))
        else:
            finish(conn, self._project_id, self._work)
        return None

    def attempt(self, batch: OpenBatch) -> None:
        """Send a batch that was marked."""
        provider = self._providers[batch.provider]
        self._note(attempt(batch, provider, now=self._now, turns=self._work.attempts))

    def _open(self, conn: Connection[Any]) -> list[OpenBatch]:
        """Deliver what stays on this machine, and return the rest."""
        values = {"project_id": self._project_id, "batch_ids": list(self._work.ids), "now": self._now}
        conn.execute(_QUERIES["deliver_to_inbox"], values)
        with conn.cursor(row_factory=class_row(OpenBatch)) as cursor:
            return cursor.execute(_QUERIES["load_open_batches"], values).fetchall()

    def _begins(self, conn: Connection[Any], batch: OpenBatch) -> bool:
        values = {"project_id": self._project_id, "batch_id": batch.id}
        return conn.execute(_QUERIES["begin_attempt"], values).fetchone() is not None

    def _note(self, result: Result) -> None:
        """Remember a result; a pause holds for every batch of the work, since they are all for one provider."""
        self._unwritten.append(result)
        if result.due_at is not None:
            self._due.append(result.due_at)
        if result.pause_until is not None and self._waiting:
            until, reason, error = result.pause_until, result.reason, result.error
            self._waiting = [
                replace(batch, paused_until=until, pause_reason=reason, pause_error=error) for batch in self._waiting
            ]

    def _write(self, conn: Connection[Any]) -> None:
        """Write the results not yet written, as sets."""
        results, self._unwritten = self._unwritten, []
        if not results:
            return
        values = {"project_id": self._project_id, "now": self._now}
        conn.execute(_QUERIES["write_results"], values | {"results": json.dumps([_row(result) for result in results])})
        refusals = [
            {"batch_id": result.batch_id, "position": position, "message": _words(message)}
            for result in results
            for position, message in result.refused.items()
        ]
        if refusals:
            conn.execute(_QUERIES["write_refusals"], values | {"refusals": json.dumps(refusals)})
        for result in results:
            if result.pause_until is not None:
                self._write_pause(conn, result)

    def _write_pause(self, conn: Connection[Any], result: Result) -> None:
        values = {"project_id": self._project_id, "batch_id": result.batch_id}
        pause = {"until": result.pause_until, "reason": result.reason, "error": _words(result.error)}
        conn.execute(_QUERIES["write_pause"], values | pause)


def _row(result: Result) -> dict[str, Any]:
    names = ("batch_id", "state", "reason", "untouched", "uncounted")
    ids = result.provider_ids
    texts = {"error": _words(result.error), "provider_ids": None if ids is None else [_words(text) for text in ids]}
    return {name: getattr(result, name) for name in names} | texts


def _words(text: str) -> str:
    """Return what a provider said, fit to be stored."""
    return storable(text)[:_LONGEST_WORDS]
