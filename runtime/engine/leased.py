"""A piece of work in a worker's hands: its lease is renewed while it lasts."""

import time
from collections.abc import Sequence
from datetime import timedelta

from runtime.delivery.deliver import Deliveries  # noqa: TC001  # an import that hides says less than one that shows
from runtime.engine.runs import Run
from runtime.ledger.database import Ledger
from runtime.ledger.work import Work, keep

_SHARE = 3
_A_MOMENT = 1.0


class Leased:
    """Work that was leased. Leases are about machines that die, so they go by the machine's clock."""

    def __init__(self, ledger: Ledger, work: Work, lease: timedelta, runs: Sequence[Run] = ()) -> None:
        self.work = work
        self.runs = runs
        """Of work that advances runs: those that are under way, as they were when it was leased."""
        self.goes_on = False
        """Whether whoever has it would do the first thing that follows, too."""
        self.begun: Deliveries | None = None
        """What follows and was begun in the transaction that made it."""
        self._began = time.monotonic()
        self._ledger = ledger
        self._lease = lease
        self._renew_at = self._next()

    def may_go_on(self) -> bool:
        """Return whether something that follows shall be begun: not after so long that its time is another."""
        return self.goes_on and time.monotonic() - self._began < _A_MOMENT

    def keep(self) -> None:
        """Renew the lease when a third of it has passed; raises LeaseLost when somebody else has the work.

        Not to be called inside a transaction that has finished the work already: it would wait for itself.
        """
        if time.monotonic() >= self._renew_at:
            with self._ledger.transaction() as conn:
                keep(conn, self._ledger.project_id, self.work, self._lease)
            self._renew_at = self._next()

    def _next(self) -> float:
        return time.monotonic() + self._lease.total_seconds() / _SHARE
