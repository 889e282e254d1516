"""`list_runs`: what workflows did lately."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import CallToolResult
from psycopg.rows import dict_row
from pydantic import Field

from runtime.ledger.database import Ledger
from runtime.ledger.queries import load_queries
from runtime.publishing.versions import list_workflows
from runtime.spec.nearest import did_you_mean
from tools.answer import Answer, Part, answered
from tools.hints import READS
from tools.masking import mask_row
from tools.services import Services
from tools.strict import StrictServer
from tools.untrusted import Marked, Untrusted

MOST = 50
_QUERIES = load_queries("tools")
_CODES = {"condition_false", "while_false", "gone", "nobody", "no_address"}
"""Reasons that are Tidings' own words; any other may quote what stood in a row."""


class RunLine(Part):
    """One run."""

    run: int
    workflow: str
    version: int
    state: str = Field(description="active, waiting, completed, ended or failed.")
    at: str = Field(description="event.at: when it happened, in UTC.")
    reason: str = ""
    waits_until: str = ""
    finished_at: str = ""
    messages: dict[str, int] = Field(default={}, description="Delivery status: messages.")


class RunList(Answer):
    """The newest runs first."""

    runs: tuple[RunLine, ...] = ()
    before: int | None = Field(default=None, description="Pass it as `before` for older ones.")
    data: Marked | None = Field(default=None, description="Which row each run is about, and what its errors say.")


def add_runs(server: StrictServer, services: Services) -> None:
    """Add the tool."""

    @server.tool(title="List runs", annotations=READS)
    def list_runs(
        workflow: Annotated[str, Field(description="Only runs of this workflow; empty for all.")] = "",
        state: Annotated[
            Literal["", "active", "waiting", "completed", "ended", "failed"], Field(description="Only these.")
        ] = "",
        limit: Annotated[int, Field(ge=1, le=MOST, description="How many.")] = 10,
        before: Annotated[int | None, Field(description="Only runs before this one, from the last answer.")] = None,
    ) -> Annotated[CallToolResult, RunList]:
        """See what workflows did: each run with its state, why it ended, and what became of its messages.

        Next: explain_delivery for one run, one address or one row.
        """
        if workflow:
            _refuse_unknown(services.ledger, workflow)
        wanted = {"workflow": workflow, "state": state, "limit": limit + 1, "before": before}
        found = _runs(services.ledger, wanted)
        return answered(_answer(found[:limit], more=len(found) > limit))


def _refuse_unknown(ledger: Ledger, workflow: str) -> None:
    names = [line.name for line in list_workflows(ledger)]
    if workflow not in names:
        raise ToolError(f"No workflow is called {workflow!r}. {did_you_mean(workflow, names)}")


def _runs(ledger: Ledger, wanted: Mapping[str, Any]) -> list[dict[str, Any]]:
    with ledger.transaction() as conn, conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(_QUERIES["runs"], {"project_id": ledger.project_id, **wanted}).fetchall()


def _answer(rows: list[dict[str, Any]], *, more: bool) -> RunList:
    about = {f"run {row['id']}": said for row in rows if (said := _data(row))}
    return RunList(
        summary=f"{len(rows)} run(s), the newest first." if rows else "No run fits.",
        next_step="explain_delivery with a run says what each step did, and why or why not."
        if rows
        else "Runs appear once a published workflow's trigger has fired; get_status shows what is live.",
        runs=tuple(map(_line, rows)),
        before=rows[-1]["id"] if more else None,
        data=Untrusted().mark(about) if about else None,
    )


def _line(row: Mapping[str, Any]) -> RunLine:
    return RunLine(
        run=row["id"],
        workflow=row["workflow"],
        version=row["version"],
        state=row["state"],
        at=_instant(row["at"]),
        reason=row["reason"] if row["reason"] in _CODES else "",
        waits_until=_instant(row["waits_until"]),
        finished_at=_instant(row["finished_at"]),
        messages=row["messages"],
    )


def _data(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of a run came out of the user's rows."""
    said = {
        "row": mask_row(row["row_key"] or {}),
        "item": mask_row(row["item"] or {}),
        "reason": "" if row["reason"] in _CODES else row["reason"],
    }
    return {name: value for name, value in said.items() if value}


def _instant(value: datetime | None) -> str:
    return value.isoformat(timespec="seconds") if value else ""
