"""Writes what was prepared: frozen requests, messages, and the work of delivering them."""

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any

from psycopg import Connection

from runtime.delivery.message import NewMessage, Prepared
from runtime.ledger.queries import load_queries
from runtime.ledger.work import add

_QUERIES = load_queries("runtime.delivery")
_MESSAGES_A_WORK = 20
"""Requests of one message are done several at a time, one after the other; larger ones alone."""
_INBOX_BATCHES_A_WORK = 10
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
    sizes = [len(batch.request["messages"]) for batch in prepared.batches]
    return add(conn, project_id, "deliver", list(_chunks(batch_ids, providers, sizes)), now)


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
