"""`test_workflow`: the rehearsal, on made-up rows in a copy of the schema; the publish gate asks for its report."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

import anyio.from_thread
from mcp.server.mcpserver import Context
from mcp.types import CallToolResult
from pydantic import Field

from runtime.errors import Invalid
from runtime.publishing.drafts import Draft, load_draft
from runtime.rehearsal.rehearse import rehearse
from runtime.rehearsal.report import Report, ScenarioResult
from tools.answer import Answer, Part, answered
from tools.hints import DRAFTS
from tools.masking import mask_address, mask_inside
from tools.problems import ProblemLine, lines
from tools.services import Services
from tools.strict import StrictServer
from tools.untrusted import clean, cut
from tools.workflows import Name

_LONGEST = 500
_MOST_MESSAGES = 3


class ScenarioLine(Part):
    """One scenario of the rehearsal."""

    name: str
    passed: bool = Field(description="False only where something is wrong.")
    status: Literal["passed", "failed", "inconclusive", "not applicable"]
    detail: str = Field(default="", description="What was done and expected, and why it went wrong or tells nothing.")
    messages: tuple[str, ...] = Field(default=(), description="Who was told in it.")


class RehearsalAnswer(Answer):
    """What the rehearsal found."""

    workflow: str
    passed: bool
    digest: str = Field(default="", description="Exactly what was tested.")
    scenarios: tuple[ScenarioLine, ...] = ()
    problems: tuple[ProblemLine, ...] = Field(default=(), description="What keeps it from being rehearsed at all.")
    not_cloned: tuple[str, ...] = Field(default=(), description="What acts on these tables and did not take part.")


def add_rehearsing(server: StrictServer, services: Services) -> None:
    """Add the tool."""

    @server.tool(title="Rehearse a draft", annotations=DRAFTS)
    def test_workflow(context: Context[Any, Any], workflow: Name) -> Annotated[CallToolResult, RehearsalAnswer]:
        """Rehearse a draft: Tidings makes up rows in a copy of the schema, moves a clock, and looks at who is told.

        Takes some seconds; nothing is sent and the database is not touched. A publish needs a passed one of exactly
        this draft. Next: prepare_publish if it passed, else correct the spec and save_workflow.
        """
        draft = load_draft(services.ledger, workflow)
        try:
            report = _rehearsed(services, draft, _progress(context))
        except Invalid as error:
            return answered(_refused(draft.name, error))
        return answered(_answer(report))


def _rehearsed(services: Services, draft: Draft, tell: Callable[[str], None]) -> Report:
    services.scratch.start(tell)
    return rehearse(services.source, services.ledger, services.scratch, draft.workflow, progress=tell)


def _progress(context: Context[Any, Any]) -> Callable[[str], None]:
    """Return what tells the client a line of progress from this worker thread."""
    told = 0

    def tell(line: str) -> None:
        nonlocal told
        told += 1
        anyio.from_thread.run(context.report_progress, told, None, clean(line))

    return tell


def _refused(name: str, error: Invalid) -> RehearsalAnswer:
    return RehearsalAnswer(
        summary=f"{name} has {len(error.problems)} problem(s) and was not rehearsed.",
        next_step="Correct what the problems name, call save_workflow with the whole spec, then test_workflow again.",
        workflow=name,
        passed=False,
        problems=lines(error.problems),
    )


def _answer(report: Report) -> RehearsalAnswer:
    return RehearsalAnswer(
        summary=_short(f"{'Passed' if report.passed else 'Failed'}: {report.summary}."),
        next_step=f"Call prepare_publish with workflow={report.workflow!r}."
        if report.passed
        else "If the scenarios expect what was asked for, correct the spec so that it does that; save and test again.",
        workflow=report.workflow,
        passed=report.passed,
        digest=report.digest,
        scenarios=tuple(map(_line, report.scenarios)),
        not_cloned=tuple(map(_short, report.not_cloned)),
    )


def _line(scenario: ScenarioResult) -> ScenarioLine:
    wrong = scenario.status in ("failed", "inconclusive")
    said = (
        (scenario.reason, f"Done: {scenario.done}", f"Expected: {scenario.expected}") if wrong else (scenario.reason,)
    )
    told = [f"{m.at[:16]}Z {m.channel} to {mask_address(m.address, m.channel)}: {m.subject}" for m in scenario.got]
    more = len(told) - _MOST_MESSAGES
    shown = [*told[:_MOST_MESSAGES], f"and {more} more"] if more > 0 else told
    return ScenarioLine(
        name=_short(scenario.name),
        passed=not wrong,
        status=scenario.status,
        detail=_short(" ".join(part for part in said if part)),
        messages=tuple(map(_short, shown)),
    )


def _short(text: str) -> str:
    """Return one line: rows of a rehearsal are made up, but contacts are real."""
    return cut(mask_inside(" ".join(clean(text).split())), _LONGEST)
