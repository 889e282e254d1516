"""`save_workflow` and `validate_workflow`: a spec goes in, and everything that is wrong with it comes back at once."""

from typing import Annotated, Any

from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import CallToolResult
from pydantic import Field

from runtime.errors import Invalid
from runtime.publishing.drafts import load_draft, save_draft
from runtime.publishing.verdict import Verdict, judge
from runtime.spec.model import Workflow
from runtime.spec.yaml import load_spec, parse_spec
from tools.answer import Answer, answered
from tools.hints import DRAFTS, READS
from tools.problems import ProblemLine, counted, lines
from tools.services import Services
from tools.strict import StrictServer
from tools.untrusted import clean

AUTHOR = "a chat client"
Spec = str | dict[str, Any]
_AGAIN = "Correct what the problems name, then call save_workflow with the whole spec again."


class VerdictAnswer(Answer):
    """What Tidings says about a spec."""

    workflow: str = Field(default="", description="The name the spec gives itself.")
    valid: bool = Field(description="Nothing stops a publish so far.")
    problems: tuple[ProblemLine, ...] = ()
    digest: str = Field(default="", description="Names exactly this; empty while there are problems.")
    words: str = Field(default="", description="The workflow in Tidings' own words: compare with what was asked.")


class SaveAnswer(VerdictAnswer):
    """What became of a save."""

    saved: bool
    revision: int | None = Field(default=None, description="Of the draft that is stored now.")


def add_drafting(server: StrictServer, services: Services) -> None:
    """Add the two tools."""
    _add_save(server, services)
    _add_validate(server, services)


def _add_save(server: StrictServer, services: Services) -> None:
    @server.tool(title="Save a draft", annotations=DRAFTS)
    def save_workflow(
        spec: Annotated[Spec, Field(description="The whole spec as YAML text (or as an object).")],
        expected_revision: Annotated[
            int | None, Field(ge=0, description="Save only on top of this revision; 0: only as a new one.")
        ] = None,
    ) -> Annotated[CallToolResult, SaveAnswer]:
        """Save a spec as a draft under the name that it gives itself, and check it. Nothing goes live.

        Read the language first (get_status with guide=true) and the tables (describe_schema). Problems come back with
        path and fix; a draft with problems is kept. Next: repair and save again, or preview_message.
        """
        try:
            draft = save_draft(services.ledger, spec, author=AUTHOR, expected_revision=expected_revision)
        except Invalid as error:
            return answered(SaveAnswer(saved=False, **_unread(error)))
        verdict = judge(services.source, services.ledger, draft.workflow)
        said = f"Saved {draft.name}, revision {draft.revision}: {counted((*verdict.problems, *verdict.warnings))}."
        after = f"Call preview_message, then test_workflow, with workflow={draft.name!r}."
        facts = _facts(draft.name, verdict)
        return answered(
            SaveAnswer(
                summary=said,
                next_step=_AGAIN if verdict.problems else after,
                saved=True,
                revision=draft.revision,
                **facts,
            )
        )


def _add_validate(server: StrictServer, services: Services) -> None:
    @server.tool(title="Check a spec", annotations=READS)
    def validate_workflow(
        workflow: Annotated[str, Field(description="A draft's name; or give `spec`.")] = "",
        spec: Annotated[Spec, Field(description="A spec that is not saved, as YAML text or as an object.")] = "",
    ) -> Annotated[CallToolResult, VerdictAnswer]:
        """Check a draft, or a spec without saving it, against the real schema: names, types, costs, addresses, texts.

        Call it until no problem is left. Next: save_workflow if it is not saved, else preview_message.
        """
        if bool(workflow) == bool(spec):
            raise ToolError(
                "Give exactly one of `workflow` (a draft's name) and `spec`. list_workflows names the drafts."
            )
        try:
            judged = load_draft(services.ledger, workflow).workflow if workflow else _read(spec)
        except Invalid as error:
            return answered(VerdictAnswer(**_unread(error)))
        verdict = judge(services.source, services.ledger, judged)
        return answered(_judged(judged.workflow, verdict, saved=bool(workflow)))


def _read(spec: Spec) -> Workflow:
    return load_spec(spec) if isinstance(spec, str) else parse_spec(spec)


def _judged(name: str, verdict: Verdict, *, saved: bool) -> VerdictAnswer:
    after = f"Call preview_message with workflow={name!r}." if saved else "Call save_workflow with this spec."
    return VerdictAnswer(
        summary=f"{name}: {counted((*verdict.problems, *verdict.warnings))}.",
        next_step=_AGAIN if verdict.problems else after,
        **_facts(name, verdict),
    )


def _facts(name: str, verdict: Verdict) -> dict[str, Any]:
    return {
        "workflow": name,
        "valid": not verdict.problems,
        "problems": lines((*verdict.problems, *verdict.warnings)),
        "digest": verdict.digest,
        "words": clean(verdict.words),
    }


def _unread(error: Invalid) -> dict[str, Any]:
    return {
        "summary": f"The spec can't be read: {counted(error.problems)}. Nothing was saved.",
        "next_step": _AGAIN,
        "valid": False,
        "problems": lines(error.problems),
    }
