"""What delivery asks of a provider, and the four answers there are besides yes.

A provider says what it knows and decides nothing: `deliver` knows by the answer whether the request may be sent again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Protocol

from runtime.errors import Temporary, TidingsError

INBOX = "inbox"
"""The local inbox: no provider of its own, it is written in the ledger's transaction."""
INBOX_BATCH = 100


class Parked(Temporary):
    """Nothing was taken, and nothing else should be given to this provider before `retry_after`: a limit or a quota."""

    def __init__(self, message: str, retry_after: timedelta, *, reason: str = "rate_limited") -> None:
        super().__init__(message, retry_after)
        self.retry_after: timedelta = retry_after
        self.reason = reason


class Uncertain(TidingsError):  # noqa: N818  # a family, as in runtime.errors
    """Nobody knows whether the request was taken: the answer was lost, late or unreadable."""


@dataclass(frozen=True)
class Accepted:
    """The request was taken."""

    ids: tuple[str, ...]
    """The provider's ids, one for each message by its position; empty where it gave none."""
    refused: Mapping[int, str] = field(default_factory=dict)
    """Positions of single messages that were not taken, and why; final."""


class Provider(Protocol):
    """A way out of this machine. Safe to share between threads."""

    @property
    def name(self) -> str:
        """What batches call it."""
        ...

    @property
    def batch(self) -> int:
        """The most messages a request may hold."""
        ...

    @property
    def rate(self) -> float:
        """How many requests a second it may be given; 0: as many as there are."""
        ...

    @property
    def idempotency_window(self) -> timedelta | None:
        """How long the same request with the same key is sure to be taken once; None: it is taken each time."""
        ...

    def send(self, request: Mapping[str, Any], *, key: str) -> Accepted:
        """Hand over a frozen request.

        Raises Temporary (not taken, this request may be tried again), Parked (a Temporary for the whole provider),
        Permanent (not taken, trying again can't help) or Uncertain.
        """
        ...

    def close(self) -> None:
        """Close its connections."""
        ...


@dataclass(frozen=True)
class Delivery:
    """The ways out that this process was given, and what goes on every message."""

    providers: Mapping[str, Provider]
    """By name. The inbox is not among them: it is always there."""
    sender: str
    public_url: str
    """Where people reach the console's public pages, without a slash at the end."""

    def close(self) -> None:
        """Close every provider's connections."""
        for provider in self.providers.values():
            provider.close()
