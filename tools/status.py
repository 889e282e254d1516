"""`get_status`: the first call. What is set up, what is live, what waits for a person, and how to go on."""

from typing import Annotated, Literal

from mcp.types import CallToolResult
from pydantic import Field

from runtime.capture.health import capture_health
from runtime.ledger.project import check_binding, load_project
from runtime.setup.status import Status, read_status
from tools.answer import Answer, answered
from tools.hints import READS
from tools.language import guide as language_guide
from tools.services import Services
from tools.strict import StrictServer
from tools.untrusted import Marked, Untrusted, clean

ORDER = (
    "describe_schema: tables, columns, addresses",
    "save_workflow (or create_or_update_workflow): a draft",
    "validate_workflow: until there is no problem",
    "preview_message: the message on a real row, nothing is sent",
    "test_workflow: a rehearsal on a copy of the schema",
    "prepare_publish: asks a person for approval",
    "confirm_publish: after the person approved in the console or at a terminal",
    "list_runs, explain_delivery: what happened, and why or why not",
)


class StatusAnswer(Answer):
    """The project in numbers."""

    project: str
    environment: str
    mode: str = Field(description="inbox: nothing leaves the machine. production: messages are sent.")
    zone: str
    held: str = Field(default="", description="Why everything is held until a person decides.")
    live: int
    paused: int
    pauses: tuple[str, ...] = Field(default=(), description="What is paused, by whom and why.")
    drafts: int
    approvals_waiting: int
    runs_open: int
    runs_failed: int
    dead_letters: int
    changes_waiting: int = Field(description="Captured and not matched yet.")
    capture: Literal["ok", "red"] = Field(description="red: changes were missed, or would be.")
    messages: dict[str, int] = Field(default={}, description="Delivery status: messages.")
    drafter: bool = Field(description="Whether create_or_update_workflow can draft from a sentence.")
    console_url: str = Field(description="Where the person looks, approves and reads the inbox.")
    order: tuple[str, ...] = Field(description="Which tool when.")
    guide: str = Field(default="", description="The language of specs.")
    data: Marked | None = Field(default=None, description="Why capture is red.")


def add_status(server: StrictServer, services: Services, *, has_drafter: bool) -> None:
    """Add get_status."""

    @server.tool(
        title="Status and how to begin",
        annotations=READS,
    )
    def get_status(
        guide: Annotated[
            bool, Field(description="Also return the guide to the spec language; read it once before writing a spec.")
        ] = False,
    ) -> Annotated[CallToolResult, StatusAnswer]:
        """See how the project stands and which tool comes when. Call it first.

        Next: describe_schema.
        """
        with services.ledger.connection() as conn:
            status = read_status(conn, services.ledger.project_id)
            project = load_project(conn, services.ledger.project_id)
            held = check_binding(conn, project, services.settings.environment) or project.held_reason or ""
            reasons = capture_health(conn, project.id).reasons
        answer = _answer(status, services, held=held, reasons=reasons)
        said = language_guide() if guide else ""
        return answered(answer.model_copy(update={"drafter": has_drafter, "guide": said}))


def _answer(status: Status, services: Services, *, held: str, reasons: tuple[str, ...]) -> StatusAnswer:
    return StatusAnswer(
        summary=_summary(status, held),
        next_step=_next(held, reasons, paused=bool(status.pauses)),
        project=status.name,
        environment=status.environment,
        mode=status.mode,
        zone=status.zone,
        held=held,
        live=status.live,
        paused=status.paused,
        pauses=tuple(clean(pause.line()) for pause in status.pauses),
        drafts=status.drafts,
        approvals_waiting=status.approvals_asked,
        runs_open=status.runs_open,
        runs_failed=status.runs_failed,
        dead_letters=status.dead_letters,
        changes_waiting=status.outbox,
        messages=dict(status.messages),
        capture="red" if reasons else "ok",
        drafter=False,
        console_url=services.console_url,
        order=ORDER,
        data=Untrusted().mark({"capture": reasons}) if reasons else None,
    )


def _next(held: str, reasons: tuple[str, ...], *, paused: bool) -> str:
    if held:
        return "Tell the person why everything is held; only a person can release it (`tidings release`)."
    if reasons:
        return "Tell the person that changes are being missed, and to run `tidings doctor`."
    if paused:
        return "Tell the person what is paused; only they can resume it (`tidings resume`). Drafting goes on as ever."
    return "Call describe_schema, then draft. Ask the person about what the request leaves open."


def _summary(status: Status, held: str) -> str:
    if held:
        return f"Project {status.name} is held: nothing is sent."
    if status.pauses and not status.pauses[0].workflow:
        return f"Project {status.name}: everything is paused; changes are captured and wait."
    sends = "messages are sent for real" if status.mode == "production" else "every message stays in the local inbox"
    return f"Project {status.name}: {status.live} workflow(s) live, {status.drafts} draft(s); {sends}."
