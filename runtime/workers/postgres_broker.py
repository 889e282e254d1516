"""The default broker, dramatiq-postgres, made quick for messages that may be lost.

A nudge only says that there is work; what is not heard is said again by the sweeper. So nothing of it waits for the
disk, it is taken off the queue the moment a worker has it, nobody acknowledges it, and one that nobody took for a
minute counts for nothing. The tables and the channel are the library's: its own consumers may work beside these.
"""

import select
import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

import psycopg
from dramatiq import Broker, Consumer, Message, MessageProxy
from dramatiq.errors import BrokerConnectionError
from dramatiq_postgres import PostgresBroker
from psycopg import sql
from psycopg_pool import ConnectionPool, PoolTimeout

from runtime.ledger.arrays import text_array
from runtime.ledger.database import BY_KEY, LEDGER_SETTINGS
from runtime.ledger.queries import load_queries
from runtime.postgres.address import with_options
from runtime.postgres.alive import still_there

_QUERIES = load_queries("runtime.workers")
_SETTINGS = {**LEDGER_SETTINGS, **BY_KEY, "synchronous_commit": "off"}
_MOST_AT_ONCE = 100
_DROP_SECONDS = 60.0
_LOOK_SECONDS = 5.0
"""How often the queue is looked at though nothing rang: a connection that listens misses nothing while it lives."""


class NudgeBroker(PostgresBroker):  # type: ignore[misc]  # untyped there
    """Dramatiq's broker on the ledger's database. Connects when it is first used."""

    def __init__(self, ledger_url: str) -> None:
        self._conninfo = with_options(ledger_url, application_name="tidings", **_SETTINGS)
        self._connections: ConnectionPool[psycopg.Connection[Any]] = ConnectionPool(
            self._conninfo, min_size=0, max_size=4, open=True, kwargs={"autocommit": True}, check=still_there
        )
        super().__init__(
            pool=self._connections, schema="tidings", prefix="dramatiq_", results=False, listen=False, middleware=[]
        )

    def declare_queue(self, queue_name: str) -> None:
        """Declare a queue, and none for delayed messages: there are none."""
        if queue_name not in self.queues:
            self.emit_before("declare_queue", queue_name)
            self.queues[queue_name] = True
            self.emit_after("declare_queue", queue_name)

    def enqueue(self, message: Message[Any], *, delay: int | None = None) -> Message[Any]:
        """Send a message, at once: its delay is ignored. Raises psycopg's errors, and tries nothing again."""
        self.emit_before("enqueue", message, delay)
        self.enqueue_all([message])
        self.emit_after("enqueue", message, delay)
        return message

    def enqueue_all(self, messages: Sequence[Message[Any]]) -> None:
        """Send messages, in their order, in one statement."""
        values = {
            "ids": text_array(message.message_id for message in messages),
            "queues": text_array(message.queue_name for message in messages),
            "messages": text_array(message.encode().decode() for message in messages),
        }
        with self._connections.connection() as conn:
            conn.execute(_QUERIES["enqueue"], values)

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 30_000) -> "NudgeConsumer":
        """Return a consumer on a connection of its own."""
        return NudgeConsumer(self, self._conninfo, queue_name, prefetch=prefetch, seconds=timeout / 1000)

    def close(self) -> None:
        """Close the connections that send."""
        self._connections.close()


class NudgeConsumer(Consumer):
    """Takes messages off the queue; asleep, it waits for a notification on the connection that it takes them with."""

    def __init__(self, broker: NudgeBroker, conninfo: str, queue_name: str, *, prefetch: int, seconds: float) -> None:
        self._broker = broker
        self._queue_name = queue_name
        self._prefetch = prefetch
        self._seconds = seconds
        self._drop_at = self._look_at = time.monotonic()
        self._rung_before = False
        self._taken: deque[Message[Any]] = deque()
        self._under_way = 0
        self._changed = threading.Condition()
        try:
            self._conn = psycopg.connect(conninfo, autocommit=True, connect_timeout=5)
            self._conn.execute(sql.SQL("LISTEN {}").format(sql.Identifier(_channel(queue_name))))
        except psycopg.Error as error:
            raise BrokerConnectionError(str(error)) from error  # type: ignore[no-untyped-call]  # untyped there

    def __next__(self) -> MessageProxy | None:
        """Return a message; None when there was none for a while, or as many are being worked on as may be."""
        with self._changed:
            free = self._changed.wait_for(lambda: self._under_way < self._prefetch, self._seconds)
        if not free:
            return None
        try:
            if not self._taken and (self._rung_before or time.monotonic() >= self._look_at):
                self._take()
            if not self._taken:
                self._rung_before = self._rung()
        except psycopg.Error as error:
            raise BrokerConnectionError(str(error)) from error  # type: ignore[no-untyped-call]  # untyped there
        if not self._taken:
            return None  # and come again at once
        with self._changed:
            self._under_way += 1
        return MessageProxy(self._taken.popleft())

    def ack(self, message: MessageProxy) -> None:  # noqa: ARG002  # Dramatiq's interface
        """Make room for another; called by the thread that did the work. The queue has forgotten the message."""
        with self._changed:
            self._under_way -= 1
            self._changed.notify()

    nack = ack

    def requeue(self, messages: Iterable[MessageProxy]) -> None:
        """Send again what this process will not do."""
        try:
            self._broker.enqueue_all([message._message for message in messages])  # noqa: SLF001  # there is no other way
        except (psycopg.Error, PoolTimeout) as error:
            raise BrokerConnectionError(str(error)) from error  # type: ignore[no-untyped-call]  # untyped there

    def close(self) -> None:
        """Close the connection."""
        self._conn.close()

    def _take(self) -> None:
        if time.monotonic() >= self._drop_at:
            self._drop_at = time.monotonic() + _DROP_SECONDS
            self._conn.execute(_QUERIES["drop_stale"], {"queue_name": self._queue_name})
        self._look_at = time.monotonic() + _LOOK_SECONDS
        values = {"queue_name": self._queue_name, "limit": min(_MOST_AT_ONCE, self._prefetch - self._under_way)}
        for _, message in sorted(self._conn.execute(_QUERIES["take"], values)):
            self._taken.append(Message.decode(message.encode()))

    def _rung(self) -> bool:
        """Sleep until a notification arrives, or the time is over."""
        arrived = bool(list(self._conn.notifies(timeout=0)))
        if not arrived and select.select([self._conn.fileno()], [], [], self._seconds)[0]:
            arrived = bool(list(self._conn.notifies(timeout=0)))
        return arrived


def _channel(queue_name: str) -> str:
    return f"dramatiq.{queue_name}.enqueue"


def send_together(broker: Broker, messages: Sequence[Message[Any]]) -> None:
    """Send messages by any broker, in one go where it can. Raises its errors; what was sent before one stays sent."""
    if isinstance(broker, NudgeBroker):
        broker.enqueue_all(messages)
        return
    for message in messages:
        broker.enqueue(message)
