"""The default broker carries messages that may be lost: quickly, in order, and leaving nothing behind."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from dramatiq import Message, MessageProxy
from dramatiq.errors import BrokerConnectionError
from psycopg import Connection

from runtime.workers.broker import ACTOR, QUEUE, Nudger
from runtime.workers.postgres_broker import NudgeBroker, NudgeConsumer

Database = Connection[Any]


@pytest.fixture
def broker(database: str) -> Iterator[NudgeBroker]:
    broker = NudgeBroker(database)
    broker.declare_queue(QUEUE)
    yield broker
    broker.close()


def consumer(broker: NudgeBroker, *, prefetch: int = 10, milliseconds: int = 5_000) -> NudgeConsumer:
    return broker.consume(QUEUE, prefetch=prefetch, timeout=milliseconds)


def next_of(consumer: NudgeConsumer) -> MessageProxy:
    """Return the next message; the first look may find nothing, and then it sleeps until it is rung."""
    message = next(consumer) or next(consumer)
    assert message is not None
    return message


def queued(app: Database) -> int:
    row = app.execute("SELECT count(*) FROM tidings.dramatiq_queue").fetchone()
    assert row is not None
    return int(row[0])


def test_nudges_arrive_in_their_order_and_are_gone_from_the_queue_when_they_are_taken(
    app: Database, broker: NudgeBroker
) -> None:
    Nudger(broker).nudge([7, 8, 9])
    assert queued(app) == 3
    taken = consumer(broker)
    assert [next_of(taken).args for _ in range(3)] == [(7,), (8,), (9,)]
    assert queued(app) == 0
    taken.close()


def test_a_sleeping_consumer_is_woken(broker: NudgeBroker) -> None:
    asleep = consumer(broker, milliseconds=20_000)
    later = threading.Timer(0.1, Nudger(broker).nudge, [[5]])
    later.start()
    assert next_of(asleep).args == (5,)
    later.join()
    asleep.close()


def test_no_more_are_taken_than_may_be_under_way_until_one_is_done(app: Database, broker: NudgeBroker) -> None:
    taken = consumer(broker, prefetch=1, milliseconds=10)
    Nudger(broker).nudge([1, 2])
    first = next_of(taken)
    assert (next(taken), queued(app)) == (None, 1)
    taken.ack(first)
    assert next_of(taken).args == (2,)
    taken.close()


def test_what_a_process_will_not_do_is_sent_again(app: Database, broker: NudgeBroker) -> None:
    Nudger(broker).nudge([1])
    leaving = consumer(broker)
    leaving.requeue([next_of(leaving)])
    leaving.close()
    assert queued(app) == 1
    other = consumer(broker)
    assert next_of(other).args == (1,)
    other.close()


def test_what_nobody_took_for_a_minute_counts_for_nothing(app: Database, broker: NudgeBroker) -> None:
    Nudger(broker).nudge([1])
    app.execute("UPDATE tidings.dramatiq_queue SET available_at = now() - interval '2 minutes'")
    taken = consumer(broker, milliseconds=10)
    assert (next(taken), queued(app)) == (None, 0)
    taken.close()


def test_a_connection_that_is_lost_is_said_in_dramatiq_s_words(app: Database, broker: NudgeBroker) -> None:
    taken = consumer(broker, milliseconds=20_000)
    app.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    with pytest.raises(BrokerConnectionError):
        next_of(taken)


def test_the_library_s_own_messages_are_understood(app: Database, broker: NudgeBroker) -> None:
    message: Message[None] = Message(queue_name=QUEUE, actor_name=ACTOR, args=(3,), kwargs={}, options={})
    app.execute(
        "INSERT INTO tidings.dramatiq_queue (queue_name, message_id, state, message) VALUES (%s, %s, 'queued', %s)",
        (QUEUE, message.message_id, message.encode().decode()),
    )
    taken = consumer(broker)
    assert next_of(taken).args == (3,)
    taken.close()
