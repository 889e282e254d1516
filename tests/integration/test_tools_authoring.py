from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.tool_clients import Tools, connected, missing_from_text, write_home
from tools.drafter import DraftOutcome, Progress

pytestmark = pytest.mark.usefixtures("approved")
PROBLEM = {"path": "/steps/0/to", "code": "x", "message": "Wrong.", "fix": "Right.", "severity": "problem"}


@dataclass
class Scripted:
    """A drafter that says what it was told to say, and remembers what it was asked."""

    outcome: DraftOutcome
    asked: list[tuple[str, str, str, str]] = field(default_factory=list)

    async def draft(
        self, request: str, *, workflow: str = "", thread: str = "", answer: str = "", progress: Progress
    ) -> DraftOutcome:
        self.asked.append((request, workflow, thread, answer))
        await progress("Reading the schema")
        await progress("Drafting")
        return self.outcome


@pytest.fixture
def home(tmp_path: Path, database: str) -> Path:
    return write_home(tmp_path, database)


@contextmanager
def _with(home: Path, outcome: DraftOutcome) -> Iterator[tuple[Tools, Scripted]]:
    drafter = Scripted(outcome)
    with connected("memory", home, drafter=drafter) as tools:
        yield tools, drafter


def test_without_an_agent_it_says_what_to_do_instead(home: Path) -> None:
    with connected("memory", home) as tools:
        answer = tools.call("create_or_update_workflow", request="Tell support about one-star reviews.")
        assert tools.call("get_status").data["drafter"] is False
    assert answer.data["status"] == "unavailable"
    for word in ("describe_schema", "save_workflow", "ANTHROPIC_API_KEY"):
        assert word in answer.data["next_step"]
    assert missing_from_text(answer) == []


def test_questions_go_to_the_person_and_the_thread_comes_back(home: Path) -> None:
    outcome = DraftOutcome("needs_input", thread="t-1", questions=["Who is support?", "In which zone?"])
    with _with(home, outcome) as (tools, drafter):
        answer = tools.call("create_or_update_workflow", request="Tell support.", workflow="one-star")
        tools.call("create_or_update_workflow", thread="t-1", answer="The staff.")
        assert tools.call("get_status").data["drafter"] is True
    assert answer.data["questions"] == ["Who is support?", "In which zone?"]
    assert answer.data["thread"] == "t-1"
    assert drafter.asked == [("Tell support.", "one-star", "", ""), ("", "", "t-1", "The staff.")]
    assert missing_from_text(answer) == []


def test_progress_is_told_while_it_works(home: Path) -> None:
    told: list[str | None] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:  # noqa: ARG001  # the client's form
        told.append(message)

    with _with(home, DraftOutcome("failed")) as (tools, _):
        tools.portal.call(
            lambda: tools.client.call_tool("create_or_update_workflow", {"request": "x"}, progress_callback=hear)
        )
    assert told == ["Reading the schema", "Drafting"]


def test_a_draft_that_waits_for_approval_says_where(home: Path) -> None:
    outcome = DraftOutcome("needs_approval", thread="t-1", workflow="one-star", digest="a" * 64, message="In words.")
    with _with(home, outcome) as (tools, _):
        answer = tools.call("create_or_update_workflow", request="x")
    assert answer.data["approve_url"] == "http://127.0.0.1:8710/workflows/one-star"
    assert answer.data["digest"] == "a" * 64
    assert missing_from_text(answer) == []


def test_a_failure_comes_with_its_problems(home: Path) -> None:
    with _with(home, DraftOutcome("failed", problems=[PROBLEM, {"message": "x\u202ey"}], message="No.")) as (tools, _):
        answer = tools.call("create_or_update_workflow", request="x")
    assert answer.data["problems"][0] == PROBLEM
    assert answer.data["problems"][1]["message"] == "xy"
    assert missing_from_text(answer) == []


def test_a_request_is_needed(home: Path) -> None:
    with connected("memory", home) as tools:
        assert "Give `request`" in tools.refused("create_or_update_workflow", request=" ")
