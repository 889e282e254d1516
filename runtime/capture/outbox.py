"""The outbox: captured changes that nobody has claimed yet. Claimed by lock and delete, never by an id cursor."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection
from psycopg.rows import class_row

from runtime.ledger.queries import load_queries

_QUERIES = load_queries("runtime.capture")


@dataclass(frozen=True)
class Captured:
    """A captured change, without its payload: that stays in the database."""

    id: int
    hook_id: int
    generation: int
    captured_at: datetime


def lock_batch(conn: Connection[Any], *, limit: int, low_water: int = 0) -> list[Captured]:
    """Lock the oldest changes that nobody else holds and return them in capture order, until the transaction ends.

    Nothing at or below `low_water` is looked at: give what LowWater.advance returned, or nothing.
    """
    with conn.cursor(row_factory=class_row(Captured)) as cursor:
        return cursor.execute(_QUERIES["lock_batch"], {"limit": limit, "low_water": low_water}).fetchall()


def remove(conn: Connection[Any], ids: Sequence[int]) -> int:
    """Delete changes that were carried over, in the caller's transaction; returns how many were there."""
    return conn.execute(_QUERIES["remove"], {"ids": list(ids)}).rowcount


class LowWater:
    """The highest id below which nothing is left and nothing can appear any more: where a claim may begin to look.

    Claimed rows leave dead index entries until they are vacuumed, and a long snapshot elsewhere can put that off for
    hours; without a mark each claim would walk over all of them.

    Ids are drawn before the commit, so a lower id may appear after a higher one was claimed. The mark is safe all the
    same. First the newest id drawn (A) is read, then a transaction id is assigned to us (X). Whoever drew an id up to A
    had written its row before, so it had a transaction id already, below X. Once every transaction below X has ended,
    whatever shall ever be visible up to A is visible, and the mark may rise to just below the lowest row that is left.
    (pg_snapshot_xmax in place of X would be wrong: running transactions may have ids above it.)

    Keep one for each connection's lifetime: after a failover the sequence may have gone back.
    """

    def __init__(self) -> None:
        self.mark = 0
        self._settled = 0
        """Everything up to this id has been decided."""
        self._sample: tuple[int, int] | None = None
        """The newest id drawn at one moment, and the transaction id assigned right after."""

    def advance(self, conn: Connection[Any]) -> int:
        """Raise the mark if that is safe and return it; call it first in a transaction, before anything is written."""
        allotted, unwritten = self._read(conn, "allotted")
        if allotted < self.mark:
            self.mark, self._settled, self._sample = 0, 0, None
        if self._sample is not None and self._read(conn, "oldest_transaction")[0] >= self._sample[1]:
            self._settled, self._sample = self._sample[0], None
        if self.mark < self._settled:
            lowest = self._read(conn, "lowest_left", mark=self.mark, settled=self._settled)[0]
            self.mark = self._settled if lowest is None else lowest - 1
        if self._sample is None and allotted > self._settled and unwritten:
            self._sample = (allotted, self._read(conn, "own_transaction")[0])
        return self.mark

    @staticmethod
    def _read(conn: Connection[Any], query: str, **values: int) -> tuple[Any, ...]:
        return conn.execute(_QUERIES[query], values).fetchall()[0]  # type: ignore[no-any-return]
