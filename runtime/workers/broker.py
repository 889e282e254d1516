"""Dramatiq's broker: Postgres where nothing else is installed, RabbitMQ or Redis by a URL.

A message carries the id of a row in `tidings.work` and nothing else. It may be lost, doubled or late: the sweeper finds
what is due, and whoever leases the row first does it. So Dramatiq's own retries and delays stay off.
"""

import logging

from dramatiq import Broker, Message
from dramatiq.errors import BrokerError
from psycopg import Error as PostgresError
from psycopg_pool import PoolTimeout

from runtime.settings import Settings
from runtime.workers.postgres_broker import NudgeBroker, send_together

QUEUE = "tidings"
ACTOR = "perform"
_log = logging.getLogger(__name__)


def make_broker(settings: Settings) -> Broker:
    """Return the broker that the settings name, with the queue declared. It connects when it is first used."""
    url = settings.broker_url
    broker: Broker
    if url.startswith("amqp"):
        from dramatiq.brokers.rabbitmq import RabbitmqBroker  # noqa: PLC0415  # 60 ms that hardly anybody needs

        broker = RabbitmqBroker(url=url, middleware=[])
    elif url.startswith("redis"):
        from dramatiq.brokers.redis import RedisBroker  # noqa: PLC0415  # the same

        broker = RedisBroker(url=url, middleware=[], namespace=f"tidings-{settings.project}")  # type: ignore[no-untyped-call]  # untyped there
    else:
        broker = NudgeBroker(settings.ledger_url)
    broker.declare_queue(QUEUE)
    return broker


class Nudger:
    """Tells workers that there is work. A nudge that can't be sent is only logged: the sweeper sends it again."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._out_of_reach = _out_of_reach(broker)

    def nudge(self, work_ids: list[int]) -> None:
        """Send one message for each piece of work."""
        if not work_ids:
            return
        messages: list[Message[None]] = [
            Message(queue_name=QUEUE, actor_name=ACTOR, args=(work_id,), kwargs={}, options={}) for work_id in work_ids
        ]
        try:
            send_together(self._broker, messages)
        except self._out_of_reach as error:
            _log.warning("nudges.lost count=%d reason=%s", len(messages), error)


def _out_of_reach(broker: Broker) -> tuple[type[Exception], ...]:
    """Return what sending raises when the broker can't be reached; Redis' errors come through as they are."""
    errors = (BrokerError, PostgresError, PoolTimeout, OSError)
    if type(broker).__module__ != "dramatiq.brokers.redis":
        return errors
    from redis import RedisError  # noqa: PLC0415  # loaded already, with its broker

    return (*errors, RedisError)
