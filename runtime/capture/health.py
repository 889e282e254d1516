"""How capture fares: what was missed, and where a hook can't see."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from psycopg import Connection
from psycopg.rows import dict_row

from runtime.ledger.queries import load_queries

STALE = timedelta(minutes=15)
"""A change that has been waiting for longer than this says that nobody claims."""
_QUERIES = load_queries("runtime.capture")
_SAYINGS = {
    "gone": "{relation} has a hook and is no longer there under that name.",
    "foreign": "{relation} is a foreign table below a table with a hook: Postgres refuses writes to it. Detach it.",
    "column": "{relation} no longer has the column {what!r} that its hook captures: changes are kept by key only "
    "until its workflows are published again.",
    "missing": "{relation} has no trigger for {what}: what is written to it directly is not captured until its "
    "workflows are published again.",
    "subscribed": "{relation} is filled by a subscription: what logical replication applies to it fires no trigger of "
    "ours and is not captured.",
    "replica": "Sessions of {relation} in {what} start with session_replication_role = replica: what they write is not "
    "captured.",
    "moves": "{relation} is partitioned: an UPDATE by MERGE that moves a row to another partition is not captured, "
    "because Postgres shows it to no trigger. Write such moves as UPDATE.",
    "disabled": "The trigger for {what} on {relation} is disabled: nothing is captured.",
}

_LIMITS = {"moves"}
"""What may happen and would not be seen, though nothing is wrong."""
_NOTHING: dict[str, Any] = {"waiting": 0, "oldest": None, "held": False, "most": None, "full": False, "bytes": 0}


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
    """Captured changes not claimed yet; an estimate when they are more than 200,000."""
    oldest: timedelta | None
    """The age of the oldest of them, by the server's clock."""
    limit: int | None = None
    """From how many waiting changes on the next ones are only counted, as missed; None: never."""
    bytes: int = field(default=0, compare=False)
    """What the outbox takes on the disk."""
    limits: tuple[str, ...] = ()
    """What may be written and no trigger would see, a sentence each; no reason to be red."""
    acknowledged: int = 0
    """How many of those that were missed or are known by key only a person has seen: they are no reason any more."""


def capture_health(conn: Connection[Any], project_id: int) -> CaptureHealth:
    """Return how the hooks of a project fare; reads only, and the ledger role may."""
    counts = _rows(conn, "counts", project_id)
    reasons = [reason for row in counts for reason in _losses(row)]
    blind = [(row["fault"], _SAYINGS[row["fault"]].format(**row)) for row in _rows(conn, "blind_spots", project_id)]
    reasons += [saying for fault, saying in blind if fault not in _LIMITS]
    waiting = (_rows(conn, "waiting", project_id) or [_NOTHING])[0]
    reasons += _backlog(waiting)
    return CaptureHealth(
        red=bool(reasons),
        reasons=tuple(reasons),
        missed=sum(row["missed"] for row in counts),
        keys_only=sum(row["keys_only"] for row in counts),
        skipped=sum(row["skipped"] for row in counts),
        waiting=waiting["waiting"],
        oldest=waiting["oldest"],
        limit=waiting["most"],
        bytes=waiting["bytes"],
        limits=tuple(saying for fault, saying in blind if fault in _LIMITS),
        acknowledged=sum(row["missed"] - row["new_missed"] + row["keys_only"] - row["new_keys"] for row in counts),
    )


def _backlog(row: dict[str, Any]) -> list[str]:
    """Say that too much waits, before and after that has consequences, and that it waits for too long."""
    waiting, most, size = row["waiting"], row["most"], f"{row['bytes'] / 1e6:,.0f} MB"
    start = "Is a dispatcher running (`tidings up`, `tidings dispatch`)?"
    if row["full"]:
        full = f"The outbox is full: about {waiting:,} captured changes wait ({size})."
        return [f"{full} Further ones are only counted, as missed, until half of them are claimed. {start}"]
    if most is not None and waiting >= most / 2:
        return [f"{waiting:,} captured changes wait ({size}); from {most:,} on they are only counted. {start}"]
    if row["oldest"] is not None and row["oldest"] > STALE and not row["held"]:
        age = timedelta(seconds=int(row["oldest"].total_seconds()))
        return [f"The oldest of {waiting:,} captured changes has been waiting for {age}. {start}"]
    return []


def _losses(row: dict[str, Any]) -> list[str]:
    relation, losses = row["relation"], []
    if not row["counted"]:
        losses.append(f"The hook of {relation} has lost its counter: misses would go unseen.")
    if row["new_missed"]:
        losses.append(f"{row['new_missed']} changed row(s) of {relation} were missed, not even their keys are known.")
    if row["new_keys"]:
        losses.append(f"{row['new_keys']} changed row(s) of {relation} are known by key only. Last: {row['error']}")
    return losses


def _rows(conn: Connection[Any], query: str, project_id: int) -> list[dict[str, Any]]:
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(_QUERIES[query], {"project_id": project_id}).fetchall()
