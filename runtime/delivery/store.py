"""Writes what was prepared: frozen requests, messages, and the work of delivering them."""

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any

from psycopg import Connection

from runtime.delivery.message import NewMessage, Prepared, Send
from runtime.ledger.arrays import int_array, text_array
from runtime.ledger.queries import load_queries
from runtime.ledger.work import add

_QUERIES = load_queries("runtime.delivery")
_MESSAGES_A_WORK = 20
"""Requests of one message are done several at a time, one after the other; larger ones alone."""
_INBOX_BATCHES_A_WORK = 10
_SHARED_BATCHES_A_WORK = 20
"""As many as may be in doubt together: see `deliver`."""
_MESSAGE_COLUMNS = (
    *("run_id", "step", "recipient_key", "channel", "address", "locale", "topic"),
    *("position", "outcome", "reason", "detail"),
)


def store(conn: Connection[Any], project_id: int, prepared: Prepared, *, now: datetime) -> list[int]:
    """Write everything in the caller's transaction, in three statements; return the ids of the work, due now.

    Raises psycopg.errors.UniqueViolation when one of these messages is there already: its step was stored by another.
    """
    batch_ids = _store_batches(conn, project_id, prepared, now)
    _store_messages(conn, project_id, prepared.messages, batch_ids, now)
    providers = [batch.provider for batch in prepared.batches]
    sizes = [batch.size for batch in prepared.batches]
    return add(conn, project_id, "deliver", list(_chunks(batch_ids, providers, sizes)), now)


def store_slice(
    conn: Connection[Any], project_id: int, send: Send, prepared: Prepared, *, now: datetime
) -> Iterable[tuple[int]]:
    """Write some people of one send, whose requests share their words, in the caller's transaction.

    Return a cursor that gives the ids of the work; in a pipeline, only whoever fetches them waits for what is written
    here. Raises as `store`, at the latest then.
    """
    if not prepared.batches:
        _store_messages(conn, project_id, prepared.messages, [], now)
        return ()
    _store_messages(conn, project_id, [message for message in prepared.messages if message.batch is None], [], now)
    told = [message for message in prepared.messages if message.batch is not None]
    return conn.execute(
        _QUERIES["store_slice"],
        {
            "project_id": project_id,
            "now": now,
            "run_id": send.run_id,
            "step": send.step,
            "topic": send.topic,
            "shared": json.dumps(prepared.shared, ensure_ascii=False),
            "providers": [batch.provider for batch in prepared.batches],
            "keys": [batch.idempotency_key for batch in prepared.batches],
            "requests": [json.dumps(batch.request, ensure_ascii=False) for batch in prepared.batches],
            "chunks": _chunk_numbers([batch.provider for batch in prepared.batches]),
            "recipient_key": text_array(message.recipient_key for message in told),
            "channel": text_array(message.channel for message in told),
            "address": text_array(message.address for message in told),
            "locale": text_array(message.locale for message in told),
            "batch": int_array(message.batch for message in told if message.batch is not None),
            "position": int_array(message.position for message in told if message.position is not None),
        },
    )


def _chunk_numbers(providers: Sequence[str]) -> list[int]:
    """Return to which piece of work each batch belongs; all of one are for one provider."""
    seen: dict[str, int] = {}
    chunks: dict[tuple[str, int], int] = {}
    numbers = []
    for provider in providers:
        place = seen[provider] = seen.get(provider, -1) + 1
        numbers.append(chunks.setdefault((provider, place // _SHARED_BATCHES_A_WORK), len(chunks)))
    return numbers


def _store_batches(conn: Connection[Any], project_id: int, prepared: Prepared, now: datetime) -> list[int]:
    """Return the id of each batch."""
    if not prepared.batches:
        return []
    values = {
        "project_id": project_id,
        "providers": [batch.provider for batch in prepared.batches],
        "keys": [batch.idempotency_key for batch in prepared.batches],
        "requests": [json.dumps(batch.request, ensure_ascii=False) for batch in prepared.batches],
        "now": now,
    }
    ids: dict[str, int] = dict(conn.execute(_QUERIES["store_batches"], values).fetchall())
    return [ids[batch.idempotency_key] for batch in prepared.batches]


def _store_messages(
    conn: Connection[Any], project_id: int, messages: Sequence[NewMessage], batch_ids: Sequence[int], now: datetime
) -> None:
    if not messages:
        return
    columns: dict[str, list[Any]] = {
        name: [getattr(message, name) for message in messages] for name in _MESSAGE_COLUMNS
    }
    columns["batch_id"] = [None if message.batch is None else batch_ids[message.batch] for message in messages]
    conn.execute(_QUERIES["store_messages"], {"project_id": project_id, "now": now, **columns})


def _chunks(batch_ids: Sequence[int], providers: Sequence[str], sizes: Sequence[int]) -> Iterator[list[int]]:
    """Yield the batches of each piece of work; all of one are for one provider."""
    by_provider = sorted(zip(providers, batch_ids, sizes, strict=True))
    for provider, group in groupby(by_provider, key=lambda batch: batch[0]):
        batches = list(group)
        largest = max(size for _, _, size in batches)
        most = _INBOX_BATCHES_A_WORK if provider == "inbox" else max(1, _MESSAGES_A_WORK // largest)
        for start in range(0, len(batches), most):
            yield [batch_id for _, batch_id, _ in batches[start : start + most]]
