"""Performs work of kind deliver: frozen requests go out, and what became of them is written down.

For each group of requests there are two transactions: one commits that they are about to be sent, before anything
leaves, and writes what became of the group before; the next writes their own results. So a worker that dies at any
moment leaves one group in doubt, and it is known which. A provider that takes each request as often as it comes gets
groups of one. Where it is sure to take the same request once, those in doubt are sent again and no harm is done, so a
group may be larger, which saves most of the transactions.
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from psycopg import Connection
from psycopg.rows import class_row

from runtime.delivery.attempt import OpenBatch, Result, attempt, given_back, held, without_attempt
from runtime.delivery.frozen import Expansion
from runtime.delivery.inbox import load_shared, put_into_inbox
from runtime.delivery.pace import Turns, most_together, take_turns
from runtime.delivery.provider import INBOX, Delivery, Provider
from runtime.delivery.recipients import storable
from runtime.delivery.retry import crowd
from runtime.ledger.database import Ledger
from runtime.ledger.parking import park
from runtime.ledger.queries import load_queries
from runtime.ledger.work import Work, ask_keep, finish, postpone

_QUERIES = load_queries("runtime.delivery")
_LEASE = timedelta(seconds=90)
"""Longer than any provider lets a request last that was begun within `_BEGIN`."""
_BEGIN = 30.0
"""Seconds after which no other request of a group is begun; they are given back, untouched."""
_LOOK = 0.5
"""Seconds after which, between two requests of a group, somebody may have paused what is being sent."""
_TOGETHER = 20
"""The most requests that are marked in one transaction."""
_LONGEST_WORDS = 1_000
_MUST_STAY = "The project is held, or left production mode: nothing may go to this address now."


def deliver(ledger: Ledger, delivery: Delivery, work: Work, *, now: datetime) -> list[int]:
    """Send what the work holds, and finish it or give it back for a later time; return the work that follows: none.

    Of the batches that can't be finished, all are tried again at the latest time that one of them asked for. Raises
    LeaseLost when another worker took over in the meantime; then nothing more is written here.
    """
    with ledger.transaction() as conn:
        begun = begin(conn, ledger.project_id, delivery, work, now=now)
    return go_on(ledger, begun)


def begin(conn: Connection[Any], project_id: int, delivery: Delivery, work: Work, *, now: datetime) -> "Deliveries":
    """Mark the first requests in the caller's transaction, which may be the one that made them; `go_on` sends them."""
    begun = Deliveries(project_id, delivery, work, now)
    begun.group = begun.next(conn)
    return begun


def go_on(ledger: Ledger, begun: "Deliveries") -> list[int]:
    """Do the rest of `deliver`, once what was begun is committed."""
    while begun.group:
        begun.attempt(begun.group, partial(_any_stopped, ledger, [batch.id for batch in begun.group]))
        with ledger.transaction() as conn:
            begun.group = begun.next(conn)
    return []


def _any_stopped(ledger: Ledger, batch_ids: Sequence[int]) -> bool:
    with ledger.connection() as conn:
        values = {"project_id": ledger.project_id, "batch_ids": list(batch_ids)}
        return conn.execute(_QUERIES["any_stopped"], values).fetchone() is not None


class Deliveries:
    """One work item's batches on their way; lives as long as it is being done."""

    def __init__(self, project_id: int, delivery: Delivery, work: Work, now: datetime) -> None:
        self._project_id = project_id
        self._providers = delivery.providers
        self.work = self._work = work
        self.group: list[OpenBatch] = []
        """Marked, and to be sent now."""
        self._now = now
        self._waiting: list[OpenBatch] | None = None
        self._unwritten: list[Result] = []
        self._due: list[datetime] = []
        self._pauses: set[int] = set()
        self._turns = Turns(0.0, 0.0)

    def next(self, conn: Connection[Any]) -> list[OpenBatch]:
        """Write what is known, and mark the next batches as being sent; none: all is done, and so is the work."""
        still_ours = ask_keep(conn, self._project_id, self._work, _LEASE)
        if self._waiting is None:
            self._waiting = self._open(conn)
        self._write(conn)
        still_ours()
        while self._waiting:
            if group := self._begin(conn, self._paced(conn, self._next_group())):
                return group
        self._write(conn)
        if self._due:
            postpone(conn, self._project_id, self._work, max(self._due))
        elif self._pauses:
            park(conn, self._project_id, self._work, min(self._pauses), self._now)
        else:
            finish(conn, self._project_id, self._work)
        return []

    def attempt(self, group: Sequence[OpenBatch], stopped: Callable[[], bool]) -> None:
        """Send batches that were marked, one after the other; after a pause or a long wait the others stay here."""
        begun = looked = time.monotonic()
        pause: Result | None = None
        goes_on = True
        for batch, _ in zip(group, self._turns.each(), strict=False):
            now = time.monotonic()
            if goes_on and now - looked > _LOOK:
                goes_on, looked = not stopped(), now
            if goes_on and pause is None and now - begun <= _BEGIN:
                result = attempt(batch, self._providers[batch.provider], now=self._now, turns=self._work.attempts)
                pause = result if result.pause_until is not None else None
            else:
                result = given_back(batch, pause, now=self._now, turns=self._work.attempts)
            self._note(result)

    def _open(self, conn: Connection[Any]) -> list[OpenBatch]:
        """Deliver what stays on this machine, and return the rest."""
        found = self._load(conn, self._work.ids)
        local = [batch.id for batch in found if batch.provider == INBOX]
        if not local:
            return found
        conn.execute(
            _QUERIES["deliver_to_inbox"], {"project_id": self._project_id, "batch_ids": local, "now": self._now}
        )
        put_into_inbox(conn, self._project_id, local, now=self._now)
        return self._load(conn, self._work.ids)

    def _load(self, conn: Connection[Any], batch_ids: Sequence[int]) -> list[OpenBatch]:
        values = {"project_id": self._project_id, "batch_ids": list(batch_ids), "now": self._now}
        with conn.cursor(row_factory=class_row(OpenBatch)) as cursor:
            batches = cursor.execute(_QUERIES["load_open_batches"], values).fetchall()
        shared = load_shared(conn, self._project_id, [batch.shared_id for batch in batches if batch.shared_id])
        return [
            replace(batch, request=Expansion(shared[batch.shared_id], batch.request)) if batch.shared_id else batch
            for batch in batches
        ]

    def _next_group(self) -> list[OpenBatch]:
        """Take batches off those that wait, as many as may be in doubt together; note what can't go now."""
        group: list[OpenBatch] = []
        while self._waiting:
            provider = self._providers.get(self._waiting[0].provider)
            if group and (provider is None or len(group) >= _most_in_doubt(provider)):
                break
            batch = self._waiting.pop(0)
            result = without_attempt(batch, provider, now=self._now, turns=self._work.attempts)
            if result is None:
                group.append(batch)
            else:
                self._note(result)
        return group

    def _paced(self, conn: Connection[Any], group: list[OpenBatch]) -> list[OpenBatch]:
        """Take turns for a group and return it; if there is none for long, all of the work is left for later."""
        if not group:
            return group
        turns = take_turns(conn, self._project_id, self._providers[group[0].provider], len(group))
        if isinstance(turns, Turns):
            self._turns = turns
            return group
        self._due.append(self._now + turns + crowd(self._work.attempts, key=group[0].key))
        self._waiting = []
        return []

    def _begin(self, conn: Connection[Any], group: Sequence[OpenBatch]) -> list[OpenBatch]:
        """Mark batches as being sent and return them; those that must stay are noted as held."""
        values = {"project_id": self._project_id, "batch_ids": [batch.id for batch in group]}
        begun = {row[0] for row in conn.execute(_QUERIES["begin_attempts"], values)} if group else set()
        for batch in group:
            if batch.id not in begun:
                self._note(self._kept(conn, batch))
        return [batch for batch in group if batch.id in begun]

    def _kept(self, conn: Connection[Any], batch: OpenBatch) -> Result:
        """Return what becomes of a batch that must not begin: it was paused just now, or may not leave the machine."""
        now, turns = self._now, self._work.attempts
        for fresh in self._load(conn, [batch.id]):
            if result := without_attempt(fresh, self._providers.get(fresh.provider), now=now, turns=turns):
                return result
        return held(batch, "mode", _MUST_STAY, now=now, turns=turns)

    def _note(self, result: Result) -> None:
        """Remember a result; a pause holds for every batch of the work, since they are all for one provider."""
        self._unwritten.append(result)
        if result.due_at is not None:
            self._due.append(result.due_at)
        if result.parked_for is not None:
            self._pauses.add(result.parked_for)
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


def _most_in_doubt(provider: Provider) -> int:
    """Return how many requests may be marked together."""
    return 1 if provider.idempotency_window is None else most_together(provider, _TOGETHER)


def _row(result: Result) -> dict[str, Any]:
    names = ("batch_id", "state", "reason", "untouched", "uncounted")
    ids = result.provider_ids
    texts = {"error": _words(result.error), "provider_ids": None if ids is None else [_words(text) for text in ids]}
    return {name: getattr(result, name) for name in names} | texts


def _words(text: str) -> str:
    """Return what a provider said, fit to be stored."""
    return (
        text
        if len(text) <= _LONGEST_WORDS and text.isprintable() and text.isascii()
        else storable(text)[:_LONGEST_WORDS]
    )
