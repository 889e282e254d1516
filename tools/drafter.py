"""The seam to an agent that drafts workflows: the tools define it, the command line passes one in or none."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

Progress = Callable[[str], Awaitable[None]]
Status = Literal["needs_input", "needs_approval", "failed", "published", "unavailable"]


@dataclass(frozen=True)
class DraftOutcome:
    """How far a request has come."""

    status: Status
    """needs_input: answer the questions. needs_approval: the draft passed its rehearsal. failed: see problems.
    published: a person had approved it meanwhile."""
    thread: str = ""
    """What to pass back to go on with this request."""
    workflow: str = ""
    digest: str = ""
    """Of the draft that waits for a person's approval."""
    questions: list[str] = field(default_factory=list)
    problems: list[dict[str, Any]] = field(default_factory=list)
    """path, code, message, fix, severity."""
    message: str = ""


class Drafter(Protocol):
    """Turns a sentence into a draft that passed its rehearsal. It never publishes and never approves."""

    async def draft(
        self, request: str, *, workflow: str = "", thread: str = "", answer: str = "", progress: Progress
    ) -> DraftOutcome:
        """Begin a request (a new workflow, or a change of `workflow`), or go on with `thread` and an `answer`."""
        ...
