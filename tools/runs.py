"""`list_runs`: what workflows did lately."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from mcp.types import CallToolResult
from pydantic import Field

from runtime.engine import listing
from tools.answer import Answer, Part, answered
from tools.hints import READS
from tools.masking import mask_row
from tools.services import Services
from tools.strict import StrictServer
from tools.untrusted import Marked, Untrusted

MOST = 50
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
        found = listing.list_runs(services.ledger, workflow=workflow, state=state, limit=limit + 1, before=before)
        return answered(_answer(found[:limit], more=len(found) > limit))


def _answer(runs: Sequence[listing.RunLine], *, more: bool) -> RunList:
    about = {f"run {run.id}": said for run in runs if (said := _data(run))}
    return RunList(
        summary=f"{len(runs)} run(s), the newest first." if runs else "No run fits.",
        next_step="explain_delivery with a run says what each step did, and why or why not."
        if runs
        else "Runs appear once a published workflow's trigger has fired; get_status shows what is live.",
        runs=tuple(map(_line, runs)),
        before=runs[-1].id if more else None,
        data=Untrusted().mark(about) if about else None,
    )


def _line(run: listing.RunLine) -> RunLine:
    return RunLine(
        run=run.id,
        workflow=run.workflow,
        version=run.version,
        state=run.state,
        at=_instant(run.at),
        reason=run.reason if run.reason in _CODES else "",
        waits_until=_instant(run.waits_until),
        finished_at=_instant(run.finished_at),
        messages=dict(run.messages),
    )


def _data(run: listing.RunLine) -> dict[str, Any]:
    """Return what of a run came out of the user's rows."""
    said = {
        "row": mask_row(run.key or {}),
        "item": mask_row(run.item or {}),
        "reason": "" if run.reason in _CODES else run.reason,
    }
    return {name: value for name, value in said.items() if value}


def _instant(value: datetime | None) -> str:
    return value.isoformat(timespec="seconds") if value else ""
