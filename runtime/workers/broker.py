"""Dramatiq's broker: Postgres where nothing else is installed, RabbitMQ or Redis by a URL.

A message carries the id of a row in `tidings.work` and nothing else. It may be lost, doubled or late: the sweeper finds
what is due, and whoever leases the row first does it. So Dramatiq's own retries and delays stay off.
"""

import logging

from dramatiq import Broker, Message
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from dramatiq.brokers.redis import RedisBroker
from dramatiq.errors import BrokerError
from dramatiq_postgres import PostgresBroker
from psycopg import Error as PostgresError
from psycopg_pool import PoolTimeout

from runtime.ledger.database import LEDGER_SETTINGS
from runtime.postgres.address import parse_url, with_options
from runtime.settings import Settings

QUEUE = "tidings"
ACTOR = "perform"
_log = logging.getLogger(__name__)


def make_broker(settings: Settings) -> Broker:
    """Return the broker that the settings name, with the queue declared. It connects when it is first used."""
    url = settings.broker_url
    broker: Broker
    if url.startswith("amqp"):
        broker = RabbitmqBroker(url=url, middleware=[])
    elif url.startswith("redis"):
        broker = RedisBroker(url=url, middleware=[], namespace=f"tidings-{settings.project}")  # type: ignore[no-untyped-call]  # untyped there
    else:
        broker = PostgresBroker(
            url=parse_url(with_options(settings.ledger_url, application_name="tidings", **LEDGER_SETTINGS)),
            schema="tidings",
            prefix="dramatiq_",
            results=False,
            middleware=[],
        )
    broker.declare_queue(QUEUE)
    return broker


class Nudger:
    """Tells workers that there is work. A nudge that can't be sent is only logged: the sweeper sends it again."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def nudge(self, work_ids: list[int]) -> None:
        """Send one message for each piece of work."""
        for sent, work_id in enumerate(work_ids):
            message: Message[None] = Message(queue_name=QUEUE, actor_name=ACTOR, args=(work_id,), kwargs={}, options={})
            try:
                self._broker.enqueue(message)
            except (BrokerError, PostgresError, PoolTimeout, OSError) as error:
                _log.warning("nudges.lost count=%d reason=%s", len(work_ids) - sent, error)
                return
