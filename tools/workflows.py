"""`list_workflows` and `get_workflow_and_preview_url`: what there is, what is live of it, and where a person looks."""

from typing import Annotated, Literal

from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import CallToolResult
from pydantic import Field

from runtime.publishing.versions import StoredWorkflow, WorkflowLine, list_workflows, load_workflow
from runtime.spec.words import in_words
from tools.answer import Answer, Part, answered
from tools.hints import READS
from tools.services import Services
from tools.strict import StrictServer
from tools.untrusted import clean, cut

PAGE = 30
_LONGEST_ABOUT = 300
Name = Annotated[str, Field(description="The workflow's name.")]


class WorkflowSummary(Part):
    """One workflow of the list."""

    name: str
    state: str = Field(description="live, paused or draft.")
    version: int | None = Field(default=None, description="The live version's number.")
    changed: bool = Field(default=False, description="The draft is not what is live.")
    revision: int = Field(description="The draft's.")
    about: str
    pause: str = Field(default="", description="Why it rests.")


class WorkflowList(Answer):
    """The workflows of the project."""

    workflows: tuple[WorkflowSummary, ...] = ()
    more: int = Field(default=0, description="Workflows on later pages.")


class WorkflowAnswer(Answer):
    """One workflow."""

    name: str
    state: str = Field(description="live or draft.")
    revision: int = Field(description="The draft's; pass it to save_workflow as expected_revision.")
    author: str
    saved_at: str
    spec: str = Field(description="The draft as written.")
    words: str = Field(description="The draft in Tidings' own words.")
    version: int | None = Field(default=None, description="The live version's number.")
    published_at: str = ""
    live_spec: str = Field(default="", description="What is live, where the draft differs from it.")
    preview_url: str = Field(description="Where the person sees it; needs the console's token once.")


def add_workflows(server: StrictServer, services: Services) -> None:
    """Add the two tools."""

    @server.tool(name="list_workflows", title="List the workflows", annotations=READS)
    def list_them(
        state: Annotated[Literal["", "live", "paused", "draft"], Field(description="Only these; empty for all.")] = "",
        search: Annotated[str, Field(description="Only workflows with this word in name or description.")] = "",
        page: Annotated[int, Field(ge=1, description="Which page.")] = 1,
    ) -> Annotated[CallToolResult, WorkflowList]:
        """See which workflows there are and what is live. Call it before drafting, to change one and not double it.

        Next: get_workflow_and_preview_url for one of them.
        """
        every = list_workflows(services.ledger)
        found = [line for line in every if state in ("", line.state) and _has(line, search)]
        return answered(_list(found, len(every), page))

    @server.tool(name="get_workflow_and_preview_url", title="Show a workflow", annotations=READS)
    def get_one(workflow: Name) -> Annotated[CallToolResult, WorkflowAnswer]:
        """Read a workflow's draft, what is live of it, and the address where a person sees it.

        Next: save_workflow with the changed spec and this revision, or preview_message.
        """
        return answered(_workflow(load_workflow(services.ledger, workflow), services))


def _list(found: list[WorkflowLine], total: int, page: int) -> WorkflowList:
    shown = found[(page - 1) * PAGE : page * PAGE]
    if page > 1 and not shown:
        raise ToolError(f"There is no page {page}; the last is {max(1, -(-len(found) // PAGE))}.")
    more = max(0, len(found) - page * PAGE)
    return WorkflowList(
        summary=f"{len(found)} of {total} workflow(s)." if len(found) != total else f"{total} workflow(s).",
        next_step=_after(page, more=more, found=bool(found)),
        workflows=tuple(map(_summary, shown)),
        more=more,
    )


def _after(page: int, *, more: int, found: bool) -> str:
    if more:
        return f"page={page + 1} shows more."
    one = "get_workflow_and_preview_url shows one. " if found else ""
    return f"{one}For a new one: describe_schema, then save_workflow."


def _summary(line: WorkflowLine) -> WorkflowSummary:
    return WorkflowSummary(
        name=line.name,
        state=line.state,
        version=line.number,
        changed=line.changed,
        revision=line.revision,
        about=cut(" ".join(clean(line.about).split()), _LONGEST_ABOUT),
        pause=cut(clean(line.pause.line()), _LONGEST_ABOUT) if line.pause else "",
    )


def _workflow(found: StoredWorkflow, services: Services) -> WorkflowAnswer:
    draft, live = found.draft, found.live
    same = live is not None and live.compiled.spec == draft.workflow
    state = "live" if live else "draft"
    what = "is live as drafted" if same else "is live, and its draft differs" if live else "is a draft"
    return WorkflowAnswer(
        summary=f"{draft.name} {what}.",
        next_step=f"To change it: save_workflow with expected_revision={draft.revision}. To go on: preview_message.",
        name=draft.name,
        state=state,
        revision=draft.revision,
        author=clean(draft.author),
        saved_at=draft.saved_at.isoformat(timespec="seconds"),
        spec=clean(draft.source),
        words=clean(in_words(draft.workflow)),
        version=live.number if live else None,
        published_at=live.published_at.isoformat(timespec="seconds") if live else "",
        live_spec=clean(live.source) if live and not same else "",
        preview_url=services.page(draft.name),
    )


def _has(line: WorkflowLine, search: str) -> bool:
    word = search.strip().lower()
    return word in line.name.lower() or word in line.about.lower()
