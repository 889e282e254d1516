"""What was on its way to a provider when somebody paused it: waited for, because it can't be called back.

A request is marked in one transaction and given to its provider after it. So a pause that was committed in between
comes too late for it; whoever paused waits here, and knows afterwards that nothing more begins.
"""

import time
from datetime import timedelta

from psycopg import errors

from runtime.ledger.database import Ledger
from runtime.ledger.queries import load_queries

_QUERIES = load_queries("runtime.delivery", "underway.sql")
_LOOK = 0.05


def settle(ledger: Ledger, *, patience: timedelta) -> int:
    """Wait, after a pause was committed, until none of the requests that it stops is on its way any more.

    Returns 0 then: from here on none begins. Otherwise, when patience is over, how many are still waiting for their
    provider's answer, or in a transaction that does not end.
    """
    deadline = time.monotonic() + patience.total_seconds()
    if waiting := _take_turns(ledger, patience):
        return waiting
    while True:
        with ledger.connection() as conn:
            row = conn.execute(_QUERIES["underway"], {"project_id": ledger.project_id}).fetchone()
        underway = row[0] if row else 0
        if not underway or time.monotonic() >= deadline:
            return underway
        time.sleep(_LOOK)


def _take_turns(ledger: Ledger, patience: timedelta) -> int:
    """Let every worker end the transaction that it may be in; return 1 if one does not."""
    try:
        with ledger.transaction() as conn:
            conn.execute(_QUERIES["patience"], {"milliseconds": str(max(1, int(patience.total_seconds() * 1000)))})
            conn.execute(_QUERIES["turns"], {"project_id": ledger.project_id})
    except errors.LockNotAvailable:
        return 1
    return 0
