"""The outbox: captured changes that nobody has claimed yet. Claimed by lock and delete, never by an id cursor."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from psycopg import Connection, Cursor
from psycopg.rows import class_row

from runtime.ledger.queries import load_queries

SAMPLE_EVERY = timedelta(milliseconds=250)
"""How often the server's locks are read, at most."""
PATIENCE = timedelta(milliseconds=250)
"""How long the mark waits for transactions that are open at a sample before it passes them."""
_QUERIES = load_queries("runtime.capture")


@dataclass(frozen=True)
class Captured:
    """A captured change, without its payload: that stays in the database."""

    id: int
    hook_id: int
    generation: int
    captured_at: datetime


@dataclass(frozen=True)
class Bound:
    """Where a claim begins to look: behind `mark`, or further down as soon as one of the stragglers has ended."""

    mark: int = 0
    stragglers: Mapping[int, int] = field(default_factory=dict)
    """Long transactions by their ids → the id behind which their changes may appear when they end."""

    def values(self) -> dict[str, Any]:
        """Return the parameters of a query that looks at no more than this."""
        xids = [str(xid) for xid in self.stragglers]
        return {"low_water": self.mark, "xids": xids, "floors": list(self.stragglers.values())}


def lock_batch(conn: Connection[Any], *, limit: int, low_water: Bound | None = None) -> list[Captured]:
    """Lock the oldest changes and return them in capture order, until the transaction ends; none while another does.

    Nothing below the bound is looked at: give what LowWater.advance returned, or nothing.
    """
    return ask_batch(conn, limit=limit, low_water=low_water).fetchall()


def ask_batch(conn: Connection[Any], *, limit: int, low_water: Bound | None = None) -> Cursor[Captured]:
    """Do the same, and return a cursor that gives them; in a pipeline nothing waits for it until it is read."""
    values = {"limit": limit, **(low_water or Bound()).values()}
    return conn.cursor(row_factory=class_row(Captured)).execute(_QUERIES["lock_batch"], values)


def remove(conn: Connection[Any], ids: Sequence[int]) -> int:
    """Delete changes that were carried over, in the caller's transaction; returns how many were there."""
    return conn.execute(_QUERIES["remove"], {"ids": list(ids)}).rowcount


class LowWater:
    """The highest id below which nothing is left, but for the changes of stragglers: where a claim may begin to look.

    Claimed rows leave dead index entries until they are vacuumed, and any long transaction in the cluster can put that
    off for hours; without a mark each claim would walk over all of them. Ids are drawn before the commit, so a lower id
    may appear after a higher one was claimed. The mark is safe all the same:

    - First the newest id drawn (A) is read, then who holds a lock to write the outbox. That lock is taken before an id
      is drawn and kept until the transaction has ended for every snapshot taken later (a savepoint that is rolled back
      gives it up early, and its rows with it). So what drew an id up to A and is not among the holders has ended: its
      rows are visible to the next statement, or never will be. Other transactions, however long, do not matter.
    - Holders are known by their transaction id, which they have before the hook runs, and which PREPARE TRANSACTION
      leaves as it is. A holder that has none yet may get one any moment: then the sample counts for nothing.
    - Once the holders have ended, everything up to A is decided, and the mark rises to just below the lowest row left.
    - What has not ended after PATIENCE becomes a straggler: the mark passes it. It held no lock at the sample before,
      so all its changes have ids above that one's A, its floor. When it has ended, the mark goes back there, once.
    - Whether a straggler has ended is decided anew inside the statement that locks a batch, by that statement's own
      snapshot: it sees none of the straggler's changes, or looks from the floor on. So changes of one row stay in
      order: whoever changed it after the straggler waited for its row lock, and is visible only together with it.

    The lock table is read once in SAMPLE_EVERY at most. Ids must be drawn by the INSERT itself, without a cache, as the
    column's identity does. Keep one for each connection's lifetime: after a failover the sequence may have gone back.
    """

    def __init__(
        self,
        *,
        every: timedelta = SAMPLE_EVERY,
        patience: timedelta = PATIENCE,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.mark = 0
        self._every, self._patience, self._now = every.total_seconds(), patience.total_seconds(), now
        self._settled = 0
        """Everything up to this id has been decided, but for the stragglers' changes."""
        self._stragglers: dict[int, int] = {}
        self._sample: int | None = None
        """The newest id drawn at one moment, of whose holders some may not have ended."""
        self._holders: list[int] = []
        self._sampled_at = -self._every
        self._began_at = 0.0

    def advance(self, conn: Connection[Any]) -> Bound:
        """Raise the mark if that is safe and return where to look; call it first in a transaction.

        Where something was written before in it, or it does not read what is committed meanwhile, the mark stays.
        """
        moment = self._now()
        due = self._sample is None and moment - self._sampled_at >= self._every
        if due or self._sample is not None or self._stragglers or self.mark < self._settled:
            known = [str(xid) for xid in (*self._holders, *self._stragglers)]
            alone, running = self._read(conn, "standing", xids=known)
            if alone:
                self._part(running, moment)
                if due:
                    self._take_sample(conn, moment)
                self._rise(conn)
        return Bound(self.mark, dict(self._stragglers))

    def _part(self, running: Sequence[int], moment: float) -> None:
        """Part with who has ended, and with who takes too long."""
        for xid in self._stragglers.keys() - set(running):
            self.mark = min(self.mark, self._stragglers.pop(xid))
        if self._sample is None:
            return
        self._holders = [xid for xid in self._holders if xid in running]
        if not self._holders or moment - self._began_at >= self._patience:
            self._stragglers |= dict.fromkeys(self._holders, self._settled)
            self._settled, self._sample, self._holders = self._sample, None, []

    def _take_sample(self, conn: Connection[Any], moment: float) -> None:
        (newest,) = self._read(conn, "allotted")
        if newest < self._settled:  # the sequence went back
            self.mark, self._settled, self._stragglers = 0, 0, {}
        if newest > self._settled:
            (holders,) = self._read(conn, "holders")
            if None in holders:
                return
            self._holders = [xid for xid in holders if xid not in self._stragglers]
            self._sample, self._began_at = newest, moment
            if not self._holders:
                self._settled, self._sample = newest, None
        self._sampled_at = moment

    def _rise(self, conn: Connection[Any]) -> None:
        if self.mark < self._settled:
            (lowest,) = self._read(conn, "lowest_left", mark=self.mark, settled=self._settled)
            self.mark = self._settled if lowest is None else lowest - 1

    @staticmethod
    def _read(conn: Connection[Any], query: str, **values: Any) -> tuple[Any, ...]:
        return conn.execute(_QUERIES[query], values).fetchall()[0]  # type: ignore[no-any-return]
