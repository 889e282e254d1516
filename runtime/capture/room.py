"""Backpressure: how many changes may wait while nobody claims, so that the user's disk does not fill unasked.

Hooks keep changes as long as the newest id is below a bound, which whoever leads moves ahead as it drains; when nobody
leads, the bound stays where it is. A hook that finds it reached counts its rows as missed, until half of what may wait
was claimed. It costs a hook two readings of a sequence.
"""

import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from psycopg import Connection, sql

from runtime.capture.hook import bound_name
from runtime.capture.outbox import Bound
from runtime.ledger.queries import load_queries

_COUNT_EVERY = 10.0
"""Seconds between two counts of what waits; millions of rows take a while."""
_STEPS = 100
"""The bound is moved by a hundredth of the limit at least."""
_UNBOUNDED = 2**62
_QUERIES = load_queries("runtime.capture")


class _Room(NamedTuple):
    limit: int | None
    newest: int
    bound: int | None

    @property
    def full(self) -> bool:
        return self.bound is not None and self.newest >= self.bound


def open_room(conn: Connection[Any], project_id: int) -> None:
    """Give a project's hooks room from now on, if they never had a bound; as the owner of schema tidings."""
    bound = sql.Identifier("tidings", bound_name(project_id))
    conn.execute(sql.SQL(_QUERIES["create_counter"]).format(counter=bound))
    conn.execute(_QUERIES["open_room"], {"project_id": project_id})


class Room:
    """A leader's part: moves the bound of a project's hooks ahead of what is drained."""

    def __init__(self, project_id: int, *, now: Callable[[], float] = time.monotonic) -> None:
        self._project_id = project_id
        self._now = now
        self._counted_at = -math.inf

    def keep(self, conn: Connection[Any], low_water: Bound) -> None:
        """Move the bound where that is due: about once a second is enough. As the ledger role; takes effect at once."""
        found = conn.execute(_QUERIES["room"], {"project_id": self._project_id}).fetchone()
        if found is None:  # no hook yet
            return
        room = _Room(*found)
        wanted = _UNBOUNDED if room.limit is None else self._wanted(conn, room, room.limit, low_water.mark)
        if wanted is not None and abs(wanted - (room.bound or 0)) >= (room.limit or 1) / _STEPS:
            conn.execute(_QUERIES["set_bound"], {"project_id": self._project_id, "bound": wanted})

    def _wanted(self, conn: Connection[Any], room: _Room, limit: int, mark: int) -> int | None:
        """Return where the bound should be; None: where it is, because nobody knows better or it is still too full."""
        waiting = room.newest - mark  # at most: ids may be gone in between
        if waiting > limit // 2:
            if self._now() - self._counted_at < _COUNT_EVERY:
                return None
            self._counted_at = self._now()
            waiting = conn.execute(_QUERIES["count_waiting"], {"mark": mark}).fetchall()[0][0]
        if room.full and waiting > limit // 2:
            return None
        return max(room.newest + limit - waiting, 1)
