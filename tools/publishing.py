"""`prepare_publish` and `confirm_publish`: ask a person, and redeem the yes that the person recorded elsewhere.

Nothing that a model passes in counts as an approval: the gate is in runtime/publishing, and reads the ledger only.
"""

from typing import Annotated, Any, Literal

from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import CallToolResult
from pydantic import Field

from runtime.publishing.approvals import Prepared, prepare_publish
from runtime.publishing.publish import Published, publish
from tools.answer import Answer, answered
from tools.drafting import AUTHOR
from tools.hints import DRAFTS, GOES_LIVE
from tools.problems import ProblemLine, lines
from tools.services import Services
from tools.strict import StrictServer
from tools.untrusted import clean
from tools.workflows import Name

_SHOWN = 12
Status = Literal["not_ready", "needs_approval", "ready", "live", "published"]


class PublishAnswer(Answer):
    """Where a draft stands on its way to being live."""

    status: Status = Field(
        description="not_ready: see missing. needs_approval: a person has to. ready: call confirm_publish."
    )
    workflow: str
    digest: str = Field(default="", description="Names exactly what would go live; pass it to confirm_publish.")
    about: str = Field(default="", description="The sentence that the person approves.")
    words: str = Field(default="", description="The workflow in Tidings' own words.")
    missing: tuple[str, ...] = Field(default=(), description="What stands in the way, each with its next step.")
    problems: tuple[ProblemLine, ...] = ()
    approve_url: str = Field(default="", description="Where the person looks and approves.")
    approve_command: str = Field(default="", description="The same at a terminal.")
    version: int | None = Field(default=None, description="The number of the version that went live.")


def add_publishing(server: StrictServer, services: Services) -> None:
    """Add the two tools."""

    @server.tool(name="prepare_publish", title="Ask a person to approve", annotations=DRAFTS)
    def prepare(
        workflow: Name,
        ask_again: Annotated[
            bool, Field(description="After a person rejected exactly this and wants to be asked anew.")
        ] = False,
    ) -> Annotated[CallToolResult, PublishAnswer]:
        """Check that a draft may go live, and ask a person to approve it once its test has passed. Nothing goes live.

        Show the person `about`, `words` and the address. Next: after they approved, confirm_publish with the digest.
        """
        return answered(_prepared(_prepare(services, workflow, ask_again=ask_again), services))

    @server.tool(name="confirm_publish", title="Go live, after a person's approval", annotations=GOES_LIVE)
    def confirm(
        workflow: Name,
        digest: Annotated[str, Field(min_length=_SHOWN, description="From prepare_publish.")],
    ) -> Annotated[CallToolResult, PublishAnswer]:
        """Make a draft live, if a person has approved exactly this digest in the console or at a terminal.

        Without that approval nothing happens and the answer says how the person gives it; you can't. Say that it is
        live only if the status is published. Next: list_runs, once something has happened.
        """
        prepared = _prepare(services, workflow)
        if prepared.digest != digest:
            raise ToolError(_moved(prepared, digest))
        if prepared.missing:
            return answered(_prepared(prepared, services))
        url = services.settings.installer_url
        return answered(_published(prepared, publish(services.ledger, services.source, url, workflow, digest=digest)))


def _prepare(services: Services, workflow: str, *, ask_again: bool = False) -> Prepared:
    return prepare_publish(services.ledger, services.source, workflow, requested_by=AUTHOR, ask_again=ask_again)


def _prepared(prepared: Prepared, services: Services) -> PublishAnswer:
    if prepared.live:
        return _answer(prepared, "live", f"Exactly this is live already: {prepared.name}.", "Nothing is left to do.")
    if prepared.open:
        return _answer(
            prepared,
            "needs_approval",
            f"{prepared.name} is ready, and waits for a person's approval. It is not live.",
            "Show the person what would go live and where to approve it, wait for them, then call confirm_publish.",
            missing=prepared.missing,
            approve_url=services.page(prepared.name),
            approve_command=f"tidings approve {prepared.name}",
        )
    if prepared.missing:
        said = f"{prepared.name} can't go live yet: {len(prepared.missing)} thing(s) stand in the way."
        first = "Do what `missing` names, then call prepare_publish again."
        return _answer(prepared, "not_ready", said, first, missing=prepared.missing)
    return _answer(
        prepared, "ready", f"A person has approved {prepared.name}.", "Call confirm_publish with this digest."
    )


def _published(prepared: Prepared, published: Published) -> PublishAnswer:
    said = f"Published: {prepared.name} is live as version {published.number}."
    return _answer(
        prepared, "published", said, "Tell the person. list_runs shows what it does.", version=published.number
    )


def _answer(prepared: Prepared, status: Status, summary: str, next_step: str, **more: Any) -> PublishAnswer:
    missing = tuple(clean(part) for part in more.pop("missing", ()))
    return PublishAnswer(
        summary=summary,
        next_step=next_step,
        status=status,
        workflow=prepared.name,
        digest=prepared.digest,
        about=clean(prepared.about),
        words=clean(prepared.words),
        missing=missing,
        problems=lines((*prepared.problems, *prepared.warnings)),
        **more,
    )


def _moved(prepared: Prepared, digest: str) -> str:
    now = f"{prepared.digest[:_SHOWN]}…" if prepared.digest else "a draft with problems"
    return (
        f"{digest[:_SHOWN]}… is not what {prepared.name!r} amounts to now ({now}): the draft, the tables or the mode "
        "changed. Call prepare_publish again and have the person look at what it says."
    )
