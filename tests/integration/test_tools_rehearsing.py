from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.ledger.database import Ledger
from runtime.publishing.reports import load_report
from tests.publishing import SEND, spec
from tests.tool_clients import Tools, as_json, connected, missing_from_text, write_home

pytestmark = pytest.mark.usefixtures("approved")


@pytest.fixture
def tools(tmp_path: Path, database: str) -> Iterator[Tools]:
    with connected("memory", write_home(tmp_path, database)) as tools:
        yield tools


def _saved(tools: Tools, to: str) -> str:
    step = {**SEND, "to": to, "texts": [{"subject": "Order {{ new.id }}", "body": "Hello."}]}
    return str(tools.call("save_workflow", spec=spec("shipped", steps=[step])).data["digest"])


def test_a_rehearsal_says_scenario_by_scenario_who_was_told_and_is_kept(tools: Tools, ledger: Ledger) -> None:
    digest = _saved(tools, "SELECT 'ops' AS key, contact('ops') AS email")
    told: list[str | None] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:  # noqa: ARG001  # the client's form
        told.append(message)

    arguments = {"workflow": "shipped"}
    tools.portal.call(lambda: tools.client.call_tool("test_workflow", arguments, progress_callback=hear))
    answer = tools.call("test_workflow", workflow="shipped")
    assert (answer.data["passed"], answer.data["digest"]) == (True, digest)
    first = answer.data["scenarios"][0]
    assert (first["passed"], first["status"]) == (True, "passed")
    assert "email to o…@x.test: Order " in first["messages"][0]
    assert "ops@x.test" not in as_json(answer)
    assert "Judging the workflow" in told
    stored = load_report(ledger, digest)
    assert stored is not None
    assert stored.passed
    assert missing_from_text(answer) == []


def test_a_failed_rehearsal_is_an_answer_and_closes_the_gate(tools: Tools) -> None:
    _saved(tools, "SELECT c.id AS key, c.email FROM shop.customers c WHERE c.id = new.customer_id AND 1 = 2")
    answer = tools.call("test_workflow", workflow="shipped")
    assert not answer.data["passed"]
    assert answer.data["summary"].startswith("Failed: ")
    wrong = [scenario for scenario in answer.data["scenarios"] if not scenario["passed"]]
    assert {scenario["status"] for scenario in wrong} <= {"failed", "inconclusive"}
    assert wrong[0]["detail"]
    prepared = tools.call("prepare_publish", workflow="shipped")
    assert prepared.data["status"] == "not_ready"
    assert "failed" in prepared.data["missing"][0]
    assert missing_from_text(answer) == []


def test_a_draft_with_problems_is_not_rehearsed(tools: Tools) -> None:
    unknown = spec("shipped", trigger={"change": "shop.order", "becomes": "status = 'shipped'"})
    tools.call("save_workflow", spec=unknown)
    answer = tools.call("test_workflow", workflow="shipped")
    assert not answer.data["passed"]
    assert answer.data["problems"][0]["code"] == "unknown-table"
    assert "digest" not in answer.data
    assert "No workflow is called 'x'" in tools.refused("test_workflow", workflow="x")
