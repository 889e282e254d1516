"""`create_or_update_workflow`: a sentence goes in, and an agent drafts, if this server was given one."""

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import CallToolResult
from pydantic import Field

from tools.answer import Answer, answered
from tools.drafter import Drafter, DraftOutcome
from tools.hints import ASKS_A_MODEL
from tools.problems import ProblemLine
from tools.services import Services
from tools.strict import StrictServer
from tools.untrusted import clean, cut

_LONGEST = 4_000
WITHOUT = (
    "Draft it yourself: get_status with guide=true for the language, describe_schema for the tables, then "
    "save_workflow, validate_workflow, preview_message, test_workflow. Or ask the person to set ANTHROPIC_API_KEY "
    "where Tidings runs, and call this again."
)
_NEXT = {
    "needs_input": "Ask the person these questions, then call this again with the thread and the answer.",
    "needs_approval": "Show the person the words, have them approve in the console or at a terminal, then call "
    "confirm_publish.",
    "failed": "Correct the draft yourself with save_workflow, or call this again with a clearer request.",
    "published": "Tell the person that it is live.",
    "unavailable": WITHOUT,
}


class AuthoringAnswer(Answer):
    """How far the agent has come."""

    status: Literal["needs_input", "needs_approval", "failed", "published", "unavailable"]
    thread: str = Field(default="", description="Pass it back to go on.")
    workflow: str = ""
    digest: str = Field(default="", description="Of the draft that waits for approval.")
    questions: tuple[str, ...] = ()
    problems: tuple[ProblemLine, ...] = ()
    message: str = ""
    approve_url: str = Field(default="", description="Where the person looks and approves.")


@dataclass
class _Counting:
    """Tells progress, a line at a time."""

    context: Context[Any, Any]
    told: int = field(default=0)

    async def tell(self, line: str) -> None:
        self.told += 1
        await self.context.report_progress(self.told, None, line)


def add_authoring(server: StrictServer, services: Services, drafter: Drafter | None) -> None:
    """Add the tool."""

    @server.tool(title="Draft from a sentence", annotations=ASKS_A_MODEL)
    async def create_or_update_workflow(
        context: Context[Any, Any],
        request: Annotated[
            str, Field(description="Who shall hear what and when, in plain words; empty to go on with a thread.")
        ] = "",
        workflow: Annotated[str, Field(description="To change this workflow; empty for a new one.")] = "",
        thread: Annotated[str, Field(description="From an earlier answer.")] = "",
        answer: Annotated[str, Field(description="With `thread`: what the person answered.")] = "",
    ) -> Annotated[CallToolResult, AuthoringAnswer]:
        """Have Tidings' own agent draft, check and rehearse a workflow from a sentence. It never approves.

        Needs a model key where Tidings runs; without one it says so, and you draft with save_workflow. Next: what the
        answer's status names.
        """
        if not request.strip() and not thread:
            raise ToolError("Give `request` (who shall hear what, and when), or `thread` to go on with one.")
        if drafter is None:
            outcome = DraftOutcome("unavailable", message="No agent is connected to this server: no model key is set.")
        else:
            tell = _Counting(context).tell
            outcome = await drafter.draft(request, workflow=workflow, thread=thread, answer=answer, progress=tell)
        return answered(_answer(outcome, services))


def _answer(outcome: DraftOutcome, services: Services) -> AuthoringAnswer:
    words = {
        "needs_input": "The agent has questions.",
        "needs_approval": f"The draft {outcome.workflow} passed its test and waits for a person's approval.",
        "failed": "The agent could not make a draft that holds.",
        "published": f"{outcome.workflow} is live.",
        "unavailable": "Tidings' own agent is not available here.",
    }
    return AuthoringAnswer(
        summary=words[outcome.status],
        next_step=_NEXT[outcome.status],
        status=outcome.status,
        thread=outcome.thread,
        workflow=outcome.workflow,
        digest=outcome.digest,
        questions=tuple(clean(question) for question in outcome.questions),
        problems=tuple(_problem(entry) for entry in outcome.problems),
        message=cut(clean(outcome.message), _LONGEST),
        approve_url=services.page(outcome.workflow) if outcome.status == "needs_approval" else "",
    )


def _problem(entry: dict[str, Any]) -> ProblemLine:
    known = {key: clean(str(entry.get(key, ""))) for key in ("path", "code", "message", "fix")}
    return ProblemLine(**known, severity="warning" if entry.get("severity") == "warning" else "problem")
