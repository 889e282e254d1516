"""`explain_delivery`: why somebody did, or didn't, get a message: the recorded chain, in sentences."""

from collections.abc import Mapping
from typing import Annotated

from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import CallToolResult
from pydantic import Field

from runtime.engine.answer import Explanation
from runtime.engine.story import RunStory
from runtime.engine.why import explain
from tools.answer import Answer, Part, answered
from tools.hints import READS
from tools.services import Services
from tools.strict import StrictServer
from tools.untrusted import Marked, Untrusted, clean

MOST_RUNS = 20
_MASKED = "Addresses in answers are masked: ask with the whole address, or by run, row or workflow."


class ExplainedRun(Part):
    """A run that bears on the question."""

    run: int
    workflow: str
    version: int
    state: str = Field(description="active, waiting, completed, ended or failed.")
    waits_in: str = Field(default="", description="The step it waits in or does next.")
    messages: dict[str, int] = Field(default={}, description="Delivery status: messages.")


class WhyAnswer(Answer):
    """What is recorded, and where the chain ended."""

    runs: tuple[ExplainedRun, ...] = ()
    held: str = Field(default="", description="Why everything is held.")
    data: Marked = Field(description="The answer in sentences: change, run, steps, messages, and why not.")


def add_explaining(server: StrictServer, services: Services) -> None:
    """Add the tool."""

    @server.tool(title="Explain a delivery", annotations=READS)
    def explain_delivery(
        *,
        address: Annotated[str, Field(description="Whom it is about: the whole address.")] = "",
        workflow: Annotated[str, Field(description="Only this workflow.")] = "",
        table: Annotated[str, Field(description="With `key`: a row's table, as schema.table.")] = "",
        key: Annotated[str, Field(description="With `table`: its primary key, 1 or 1,2.")] = "",
        run: Annotated[int | None, Field(description="A run, from list_runs.")] = None,
        message: Annotated[int | None, Field(description="A message's number.")] = None,
        limit: Annotated[int, Field(ge=1, le=MOST_RUNS, description="How many runs.")] = 5,
    ) -> Annotated[CallToolResult, WhyAnswer]:
        """Say why somebody did, or didn't, get a message: change, run, steps, delivery, and what stopped it.

        Ask by address, by row (table and key), by run, by message or by workflow. For a row that started nothing it
        says which clause fails on the row as it is now. Next: correct the spec, or tell the person.
        """
        if bool(table) != bool(key):
            raise ToolError("A row needs `table` (schema.table) and `key` (its primary key) both.")
        if not (address or workflow or table or run is not None or message is not None):
            raise ToolError("Say what to explain: address, table and key, run, message, or workflow.")
        found = explain(
            services.ledger,
            services.source,
            address=address or None,
            workflow=workflow or None,
            row=(table, key) if table else None,
            message_id=message,
            run_id=run,
            limit=limit,
        )
        return answered(_answer(found))


def _answer(found: Explanation) -> WhyAnswer:
    told = sum(len(run.messages) for run in found.runs)
    nothing = not (found.runs or found.failures or found.counts or found.trials)
    return WhyAnswer(
        summary="Nothing is recorded that bears on it."
        if nothing
        else f"{len(found.runs)} run(s) and {told} message(s) bear on it.",
        next_step=_MASKED if nothing else "Tell the person what stopped it, or correct the spec.",
        runs=tuple(map(_run, found.runs)),
        held=clean(found.held),
        data=Untrusted().mark({"answer": found.lines()}),
    )


def _run(run: RunStory) -> ExplainedRun:
    return ExplainedRun(
        run=run.id,
        workflow=run.workflow,
        version=run.version,
        state=run.state,
        waits_in=run.stands_at,
        messages=_by_status(run.tally),
    )


def _by_status(tally: Mapping[str, int]) -> dict[str, int]:
    """Count by delivery status alone: a reason may quote a provider, and stands in the sentences."""
    counts: dict[str, int] = {}
    for told, count in tally.items():
        status = told.partition(" (")[0]
        counts[status] = counts.get(status, 0) + count
    return counts
