"""The installer's transactions: the only connection of Tidings that may touch the user's tables, used while publishing.

Each is short, waits for a lock on a table less than 100 ms, and is tried again when it did not get it.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import psycopg
from psycopg import Connection
from psycopg.errors import InsufficientPrivilege

from runtime.capture.triggers import holders
from runtime.errors import NotAllowed, Temporary
from runtime.postgres.address import with_options, without_password
from runtime.postgres.locks import LOCK_TIMEOUT, with_lock_retries

Result = TypeVar("Result")


def install(installer_url: str, act: Callable[[Connection[Any]], Result], *, what: str) -> Result:
    """Call `act` in one transaction as the installer, committed at its end; again while `what` is locked by others.

    Raises Temporary when there is no connection, or no lock after the last try: it names who holds `what`, if that is a
    table. NotAllowed when a right is missing.
    """
    with _connect(installer_url) as conn:

        def attempt() -> Result:
            with conn.transaction():
                conn.execute("SELECT set_config('lock_timeout', %s, true)", (LOCK_TIMEOUT,))
                return act(conn)

        try:
            return with_lock_retries(attempt, what=what, who=lambda: holders(conn, what))
        except InsufficientPrivilege as error:
            reason = error.diag.message_primary or str(error)
            raise NotAllowed(
                f"The installer may not do that on {what}: {reason}. "
                "Run `tidings init` again; `tidings doctor --grants` prints the exact SQL."
            ) from error


def _connect(installer_url: str) -> Connection[Any]:
    try:
        return psycopg.connect(
            with_options(installer_url, application_name="tidings publish", search_path="pg_catalog", timezone="UTC"),
            autocommit=True,
            connect_timeout=10,
            prepare_threshold=None,
        )
    except psycopg.OperationalError as error:
        raise Temporary(
            f"No connection to {without_password(installer_url)}, which publishing needs: {str(error).strip()}. "
            "`tidings doctor` says what is wrong."
        ) from error
