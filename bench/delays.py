"""Dramatiq's own delays: messages that workers hold in memory until they are due."""

import threading
import time

import dramatiq
from dramatiq.brokers.rabbitmq import RabbitmqBroker

_LONG, _SHORT = 3_600_000, 2_000
_PATIENCE = 7.0
"""Seconds in which short delays must be over: five more than they last."""


def fired_of_short_ones(broker_url: str, long_ones: int) -> float:
    """Return how many of a hundred messages with short delays come in time behind many with long ones."""
    broker = RabbitmqBroker(url=broker_url, middleware=[])
    fired, lock = [0], threading.Lock()

    def note(long: int) -> None:
        with lock:
            fired[0] += not long

    actor = dramatiq.actor(broker=broker, queue_name="delays", actor_name="note")(note)
    for _ in range(long_ones):
        actor.send_with_options(args=(1,), delay=_LONG)
    worker = dramatiq.Worker(broker, queues={"delays"}, worker_threads=8)
    worker.start()
    try:
        for _ in range(100):
            actor.send_with_options(args=(0,), delay=_SHORT)
        time.sleep(_PATIENCE)
        return float(fired[0])
    finally:
        worker.stop(timeout=1_000)
        broker.flush_all()
        broker.close()
