"""The pace at which requests are given to a provider: so many a second, whatever the number of processes and machines.

Turns are given out in Postgres and by the wall clock. Whoever gets some waits for them; who would wait long comes back.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic, sleep
from typing import Any

from psycopg import Connection

from runtime.delivery.provider import Provider
from runtime.ledger.queries import load_queries

_QUERIES = load_queries("runtime.delivery")
_PATIENCE = 1.0
"""Seconds that a worker waits for its first turn, and for which it takes turns at a time."""


@dataclass(frozen=True)
class Turns:
    """Turns that a worker has, from now on."""

    first: float
    """Seconds until the first."""
    gap: float
    """Seconds from one to the next."""

    def each(self) -> Iterator[None]:
        """Yield at each turn: the caller sends one request, then asks for the next turn."""
        turn = monotonic() + self.first
        while True:
            if self.gap:
                sleep(max(0.0, turn - monotonic()))
            yield
            turn += self.gap


def most_together(provider: Provider, most: int) -> int:
    """Return for how many requests turns are taken together."""
    return max(1, min(most, int(provider.rate * _PATIENCE))) if provider.rate else most


def take_turns(conn: Connection[Any], project_id: int, provider: Provider, requests: int) -> Turns | timedelta:
    """Take turns for some requests; or return how long it is until there is one, when that is too long to wait.

    In the caller's transaction, until whose end others wait who want turns of this provider. A provider without a rate
    is asked at once.
    """
    if not provider.rate:
        return Turns(0.0, 0.0)
    gap = 1.0 / provider.rate
    values = {"project_id": project_id, "provider": provider.name, "patience": _PATIENCE, "takes": requests * gap}
    row = conn.execute(_QUERIES["take_turns"], values).fetchone()
    first, taken = row or (0.0, True)
    return Turns(first, gap) if taken else timedelta(seconds=first)
