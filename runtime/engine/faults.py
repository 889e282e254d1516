"""Which errors of Postgres are the fault of what was asked, and how the one bad row is found among many."""

from collections.abc import Callable, Sequence

from psycopg import Error, InterfaceError, OperationalError

_CLASSES = {"54"}
_CANCELLED = "57014"
"""A statement that ran into its time-out: too much for so many rows, or for this one."""
_LONGEST = 500


def is_fault_of_rows(error: Error) -> bool:
    """Return whether the error comes from what was asked, and not from a server or connection that had trouble."""
    state = error.sqlstate or ""
    is_trouble = isinstance(error, OperationalError | InterfaceError)
    return not is_trouble or state == _CANCELLED or state[:2] in _CLASSES


def is_fault_of_statement(error: Error) -> bool:
    """Return whether an error of a statement over no rows at all says that it must fail over any.

    Raises what comes from a server or connection that had trouble.
    """
    if not is_fault_of_rows(error):
        raise error
    return error.sqlstate != _CANCELLED


def said(error: Error) -> str:
    """Return what Postgres said, on one line."""
    text = error.diag.message_primary or str(error) or type(error).__name__
    detail = f" ({error.diag.message_detail})" if error.diag.message_detail else ""
    return f"{text.rstrip('.')}{detail}"[:_LONGEST]


def in_halves(
    ids: Sequence[int],
    attempt: Callable[[Sequence[int]], None],
    *,
    give_up: Callable[[Sequence[int], str], None],
    fails_always: Callable[[], bool],
) -> None:
    """Attempt all ids at once; where that fails, each half of them, down to the bad ones, which are given up.

    `attempt` must leave nothing behind when it raises. `fails_always` is asked once after the first failure: whether
    it has nothing to do with the rows, so that no half can be better. Errors of server or connection pass through.
    """
    if not ids:
        return
    try:
        attempt(ids)
    except Error as error:
        if not is_fault_of_rows(error):
            raise
        if len(ids) == 1 or fails_always():
            give_up(ids, said(error))
            return
    else:
        return
    middle = len(ids) // 2
    for half in (ids[:middle], ids[middle:]):
        in_halves(half, attempt, give_up=give_up, fails_always=lambda: False)
