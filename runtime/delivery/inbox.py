"""The local inbox for requests that share their words: they are put together here, one request after the other."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from psycopg import Connection

from runtime.delivery.frozen import Expansion, Shared
from runtime.ledger.arrays import text_array
from runtime.ledger.jsonb import to_json
from runtime.ledger.queries import load_queries

_QUERIES = load_queries("runtime.delivery")


def put_into_inbox(conn: Connection[Any], project_id: int, batch_ids: Sequence[int], *, now: datetime) -> None:
    """Deliver what of these requests stays on this machine, but not what is finished or paused.

    The messages are there the moment the caller's transaction commits.
    """
    values = {"project_id": project_id, "batch_ids": list(batch_ids), "now": now}
    taken = conn.execute(_QUERIES["take_for_inbox"], values).fetchall()
    shared = load_shared(conn, project_id, [shared_id for _, _, shared_id in taken])
    for batch_id, request, shared_id in taken:
        messages = Expansion(shared[shared_id], request).messages
        conn.execute(_QUERIES["fill_inbox"], values | {"batch_id": batch_id} | _columns(messages))


def load_shared(conn: Connection[Any], project_id: int, ids: Sequence[int]) -> dict[int, Shared]:
    """Return what requests share, by its id."""
    if not ids:
        return {}
    rows = conn.execute(_QUERIES["load_shared"], {"project_id": project_id, "ids": sorted(set(ids))})
    return {shared_id: Shared(content) for shared_id, content in rows}


def _columns(messages: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    return {
        "senders": text_array(message.get("from", "") for message in messages),
        "subjects": text_array(message.get("subject", "") for message in messages),
        "htmls": text_array(message.get("html", "") for message in messages),
        "texts": text_array(message["text"] for message in messages),
        "headers": text_array(to_json(message.get("headers", {})) for message in messages),
    }
