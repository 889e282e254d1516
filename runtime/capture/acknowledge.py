"""A person has seen that changes were missed: health is green again until the next miss, and the totals stay."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection
from psycopg.rows import class_row

from runtime.errors import NotFound
from runtime.ledger.database import Ledger
from runtime.ledger.queries import load_queries
from runtime.spec.nearest import did_you_mean

_QUERIES = load_queries("runtime.capture", "acknowledge.sql")


@dataclass(frozen=True)
class Unseen:
    """What was missed of one table and nobody has acknowledged."""

    hook_id: int
    relation: str
    missed: int
    """Changed rows of which not even the key is known."""
    key_ids: Sequence[int]
    """Changed rows that are known by key only and not handled: rows of `outbox_key`."""

    def line(self) -> str:
        """Say it in one line."""
        parts = [f"{self.missed:,} missed, not even their keys are known"] if self.missed else []
        parts += [f"{len(self.key_ids):,} known by key only"] if self.key_ids else []
        return f"{self.relation}: {', '.join(parts)}"


@dataclass(frozen=True)
class Acknowledgement:
    """Who said when that they had seen what."""

    relation: str
    missed: int
    keys_only: int
    by: str
    at: datetime
    note: str


def unseen_misses(conn: Connection[Any], project_id: int, relation: str | None = None) -> list[Unseen]:
    """Return what nobody has acknowledged, of one table or of all. Raises NotFound for a table without a hook."""
    with conn.cursor(row_factory=class_row(Unseen)) as cursor:
        found = cursor.execute(_QUERIES["unseen"], {"project_id": project_id, "relation": relation}).fetchall()
    if relation is not None and not found:
        hooks = [row[0] for row in conn.execute(_QUERIES["hooks"], {"project_id": project_id})]
        if relation not in hooks:
            raise NotFound(f"No hook is on {relation!r}. {did_you_mean(relation, hooks)}")
    return found


def acknowledge(ledger: Ledger, seen: Sequence[Unseen], *, by: str, now: datetime, note: str = "") -> None:
    """Record that a person has seen exactly these; what was missed since they were read stays unseen."""
    with ledger.transaction() as conn:
        conn.execute(_QUERIES["one_at_a_time"], {"project_id": ledger.project_id})
        still = {one.hook_id: one for one in unseen_misses(conn, ledger.project_id)}
        for one in seen:
            if one.hook_id not in still:  # somebody else was quicker
                continue
            values = {
                "project_id": ledger.project_id,
                "hook_id": one.hook_id,
                "missed": min(one.missed, still[one.hook_id].missed),
                "key_ids": list(one.key_ids),
            }
            conn.execute(_QUERIES["acknowledge"], values | {"by": by, "now": now, "note": note})


def acknowledgements(conn: Connection[Any], project_id: int, *, limit: int = 20) -> list[Acknowledgement]:
    """Return what was acknowledged, the newest first."""
    with conn.cursor(row_factory=class_row(Acknowledgement)) as cursor:
        return cursor.execute(_QUERIES["list"], {"project_id": project_id, "limit": limit}).fetchall()
