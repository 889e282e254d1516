"""A piece of work in a worker's hands: its lease is renewed while it lasts."""

import time
from datetime import timedelta

from runtime.ledger.database import Ledger
from runtime.ledger.work import Work, keep

_SHARE = 3


class Leased:
    """Work that was leased. Leases are about machines that die, so they go by the machine's clock."""

    def __init__(self, ledger: Ledger, work: Work, lease: timedelta) -> None:
        self.work = work
        self._ledger = ledger
        self._lease = lease
        self._renew_at = self._next()

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
