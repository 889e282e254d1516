"""Unsubscribing by a signed link. Looking at it changes nothing, because scanners follow every link (RFC 8058)."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection

from runtime.delivery.unsubscribe_token import Subscription, read_unsubscribe
from runtime.errors import NotFound
from runtime.ledger.database import Ledger
from runtime.ledger.queries import load_queries

_QUERIES = load_queries("runtime.engagement")


@dataclass(frozen=True)
class Standing:
    """What a link is about, and how things stand."""

    address: str
    topic: str
    """Empty: everything but transactional mail."""
    is_unsubscribed: bool


def describe(ledger: Ledger, token: str) -> Standing:
    """Return what a link is about, and change nothing. Raises NotFound for a token that is not of this project."""
    with ledger.connection() as conn:
        return _standing(conn, _read(conn, ledger.project_id, token))


def unsubscribe(ledger: Ledger, token: str, *, now: datetime) -> Standing:
    """Stop messages to the link's address about its topic from now on; idempotent. Raises NotFound.

    The message that carried the link gets an event `unsubscribed`, the first time.
    """
    with ledger.transaction() as conn:
        about = _read(conn, ledger.project_id, token)
        conn.execute(_QUERIES["unsubscribe"], _values(about) | {"token": token, "now": now})
        return _standing(conn, about)


def _read(conn: Connection[Any], project_id: int, token: str) -> Subscription:
    row = conn.execute(_QUERIES["secret"], {"project_id": project_id}).fetchone()
    if row is None:
        raise NotFound(f"The ledger has no project {project_id}. Run `tidings init` again; it repairs what is missing.")
    about = read_unsubscribe(bytes(row[0]), token)
    if about.project_id != project_id:
        raise NotFound("This unsubscribe link is another project's. Open it again from the message.")
    return about


def _standing(conn: Connection[Any], about: Subscription) -> Standing:
    row = conn.execute(_QUERIES["is_unsubscribed"], _values(about)).fetchone()
    return Standing(about.address, about.topic, bool(row and row[0]))


def _values(about: Subscription) -> dict[str, object]:
    return {"project_id": about.project_id, "address": about.address, "topic": about.topic}
