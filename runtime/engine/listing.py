"""Runs in a list: what started each, where it stands, and what became of its messages."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args

from psycopg.rows import dict_row

from runtime.engine.story import instant, reason_in_words, spoken
from runtime.ledger.database import Ledger
from runtime.ledger.queries import load_queries
from runtime.publishing.drafts import unknown_workflow

State = Literal["active", "waiting", "completed", "ended", "failed"]
STATES: tuple[State, ...] = get_args(State)
_QUERIES = load_queries("runtime.engine", "listing.sql")
_WORKFLOWS = load_queries("runtime.engine", "why.sql")


@dataclass(frozen=True)
class RunLine:
    """One run."""

    id: int
    workflow: str
    version: int
    state: str
    """active, waiting, completed, ended or failed."""
    reason: str
    """Why it ended (condition_false, while_false, gone) or what failed; the latter may quote the row."""
    at: datetime
    """event.at"""
    finished_at: datetime | None
    waits_until: datetime | None
    slot: datetime | None
    """A schedule's; then there is no relation, op and key."""
    relation: str
    op: str
    key: Mapping[str, Any] | None
    """The changed row's."""
    item: Mapping[str, Any] | None
    """The key columns of a schedule's item."""
    messages: Mapping[str, int]
    """Delivery status, and how many."""

    def origin(self) -> str:
        """Say what started it: `shop.orders id = 5`, or the slot with its item."""
        if self.slot is None:
            return f"{self.relation} {spoken(self.key or {})}".strip()
        item = f", {spoken(self.item)}" if self.item else ""
        return f"slot of {instant(self.slot)}{item}"

    def standing(self) -> str:
        """Say why it is in its state, as far as the state alone does not say it."""
        if self.waits_until:
            return f"until {instant(self.waits_until)}"
        return reason_in_words(self.reason)


def list_runs(
    ledger: Ledger, *, workflow: str = "", state: State | Literal[""] = "", limit: int, before: int | None = None
) -> tuple[RunLine, ...]:
    """Return at most `limit` runs, the newest first: of one workflow or all, in one state or any, below a run's id.

    Raises NotFound, with the nearest name, for a workflow that does not exist.
    """
    wanted = {"workflow": workflow, "state": state, "limit": limit, "before": before}
    with ledger.transaction() as conn, conn.cursor(row_factory=dict_row) as cursor:
        values = {"project_id": ledger.project_id, **wanted}
        if workflow and cursor.execute(_WORKFLOWS["is_workflow"], values).fetchone() is None:
            raise unknown_workflow(conn, ledger.project_id, workflow)
        return tuple(_line(row) for row in cursor.execute(_QUERIES["runs"], values).fetchall())


def _line(row: dict[str, Any]) -> RunLine:
    names, item = row.pop("item_key") or [], row.pop("item") or {}
    return RunLine(**row, item={name: item.get(name) for name in names} or None)
