"""When a request is tried again, and when no more: pure, so that the same failure always waits as long."""

from datetime import datetime, timedelta
from random import Random

_FIRST = timedelta(seconds=5)
_GROWTH = 3
_LONGEST = timedelta(hours=1)
_LONGEST_CROWD = timedelta(seconds=60)
_ATTEMPTS = 8
_AGE = timedelta(hours=24)


def wait(attempts: int, *, key: str, retry_after: timedelta | None = None) -> timedelta:
    """Return how long to wait after the n-th attempt: 5 s, 15 s, 45 s … up to an hour, a quarter more or less.

    Never less than the provider asked for, and then up to a fifth more, so that not everybody comes at once.
    """
    chance = Random(f"{key} {attempts}").random()  # noqa: S311  # spreads requests, hides nothing
    backed_off: timedelta = min(_LONGEST, _FIRST * _GROWTH ** min(attempts - 1, 10)) * (0.75 + chance / 2)
    asked: timedelta = (retry_after or timedelta()) * (1 + chance / 5)
    return max(backed_off, asked)


def crowd(turns: int, *, key: str) -> timedelta:
    """Return how much longer than a provider's pause to wait, when many wait for its end: up to 2ⁿ s, or a minute."""
    chance = Random(f"{key} {turns}").random()  # noqa: S311
    return min(_LONGEST_CROWD, timedelta(seconds=2 ** min(turns, 10))) * chance


def is_given_up(attempts: int, *, created_at: datetime, now: datetime) -> bool:
    """Return whether a request that is refused again and again is a failure: eight times, and a day old."""
    return attempts >= _ATTEMPTS and now - created_at >= _AGE
