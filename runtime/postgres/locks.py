"""Locks on the user's tables: wait briefly, give way, try again. Whoever waits for a lock makes others queue behind."""

import random
import time
from collections.abc import Callable
from typing import TypeVar

from psycopg.errors import LockNotAvailable

from runtime.errors import Temporary

LOCK_TIMEOUT = "60ms"
"""How long a statement that locks a table of the user waits: with what it then does, others wait less than 100 ms."""
TRIES = 20

Result = TypeVar("Result")


def _nobody() -> str:
    return ""


def with_lock_retries(
    attempt: Callable[[], Result], *, what: str = "the tables", who: Callable[[], str] = _nobody
) -> Result:
    """Call `attempt`, a whole transaction under LOCK_TIMEOUT, until it gets its locks; Temporary after the last try.

    `who` is asked after that one for those who hold `what`, in words.
    """
    for number in range(1, TRIES + 1):
        try:
            return attempt()
        except LockNotAvailable as error:
            if number == TRIES:
                raise Temporary(
                    f"Something holds a lock on {what}: {who() or str(error).strip()}. "
                    "Wait for the long transaction to end, or end it, and try again."
                ) from error
            time.sleep(random.uniform(0.05, 0.1 * number))  # noqa: S311  # jitter, no secret
    raise AssertionError("unreachable")
