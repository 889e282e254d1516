"""Whether a connection that rested in a pool can still be used, told without asking a server that is silent."""

from select import POLLIN, poll
from typing import Any

from psycopg import Connection
from psycopg_pool import ConnectionPool


def still_there(connection: Connection[Any]) -> None:
    """Raise psycopg.OperationalError if the server has hung up on the connection; a pool's `check`.

    Costs no round trip where nothing has arrived. Something that has may be the last words of a server that stops, with
    the end of the stream behind them, so then the server is asked. A machine that vanished without a word is noticed by
    the keepalives (see `address.with_options`).
    """
    if connection.closed or _has_news(connection.fileno()):
        ConnectionPool.check_connection(connection)


def _has_news(socket: int) -> bool:
    poller = poll()  # unlike select, for any number of open files
    poller.register(socket, POLLIN)
    return bool(poller.poll(0))
