"""How capture fares: what was missed, and where a hook can't see."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from psycopg import Connection
from psycopg.rows import dict_row

from runtime.ledger.queries import load_queries

_QUERIES = load_queries("runtime.capture")
_SAYINGS = {
    "gone": "{relation} has a hook and is no longer there under that name.",
    "foreign": "{relation} is a foreign table below a table with a hook: Postgres refuses writes to it. Detach it.",
    "column": "{relation} no longer has the column {what!r} that its hook captures: changes are kept by key only "
    "until its workflows are published again.",
    "missing": "{relation} has no trigger for {what}: what is written to it directly is not captured until its "
    "workflows are published again.",
    "disabled": "The trigger for {what} on {relation} is disabled: nothing is captured.",
}


@dataclass(frozen=True)
class CaptureHealth:
    """Capture at one moment. Red: something was missed, or would be."""

    red: bool
    reasons: tuple[str, ...]
    """Why it is red, a sentence each; they name tables and columns."""
    missed: int
    """Changed rows of which not even the key is known."""
    keys_only: int
    """Changed rows that are known by key only and not handled yet."""
    skipped: int
    """Changed rows that the application let pass on purpose (`SET tidings.skip = on`)."""
    waiting: int
    """Captured changes not claimed yet."""
    oldest: timedelta | None
    """The age of the oldest of them, by the server's clock."""


def capture_health(conn: Connection[Any], project_id: int) -> CaptureHealth:
    """Return how the hooks of a project fare; reads only, and the ledger role may."""
    counts = _rows(conn, "counts", project_id)
    reasons = [reason for row in counts for reason in _losses(row)]
    reasons += [_SAYINGS[row["fault"]].format(**row) for row in _rows(conn, "blind_spots", project_id)]
    waiting = _rows(conn, "waiting", project_id)[0]
    return CaptureHealth(
        red=bool(reasons),
        reasons=tuple(reasons),
        missed=sum(row["missed"] for row in counts),
        keys_only=sum(row["keys_only"] for row in counts),
        skipped=sum(row["skipped"] for row in counts),
        waiting=waiting["waiting"],
        oldest=waiting["oldest"],
    )


def _losses(row: dict[str, Any]) -> list[str]:
    relation, losses = row["relation"], []
    if not row["counted"]:
        losses.append(f"The hook of {relation} has lost its counter: misses would go unseen.")
    if row["missed"]:
        losses.append(f"{row['missed']} changed row(s) of {relation} were missed, not even their keys are known.")
    if row["keys_only"]:
        losses.append(f"{row['keys_only']} changed row(s) of {relation} are known by key only. Last: {row['error']}")
    return losses


def _rows(conn: Connection[Any], query: str, project_id: int) -> list[dict[str, Any]]:
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(_QUERIES[query], {"project_id": project_id}).fetchall()
