"""When a wait for a duration ends, reckoned by Postgres so that the engine has somebody to agree with."""

from datetime import UTC, datetime
from typing import Any

from psycopg import Connection

from runtime.ledger.queries import load_queries

_QUERIES = load_queries("runtime.rehearsal", "worlds.sql")


def duration_end(conn: Connection[Any], since: datetime, *, months: int, seconds: float, zone: str) -> datetime:
    """Return the instant months and then seconds after another, in UTC; months are the calendar's in the zone."""
    values = {"since": since, "months": months, "seconds": seconds, "zone": zone}
    row = conn.execute(_QUERIES["duration_end"], values).fetchone()
    return row[0].astimezone(UTC) if row else since
