from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.ledger.database import Ledger
from runtime.publishing.drafts import load_draft
from runtime.publishing.verdict import judge
from runtime.source.reader import Source
from runtime.spec.yaml import dump_spec, load_spec
from tests.publishing import spec
from tests.tool_clients import Answered, Tools, connected, missing_from_text, write_home
from tests.unit.test_tools_language import EXAMPLES

pytestmark = pytest.mark.usefixtures("approved")


@pytest.fixture
def tools(tmp_path: Path, database: str) -> Iterator[Tools]:
    with connected("memory", write_home(tmp_path, database)) as tools:
        yield tools


def _codes(answer: Answered) -> list[str]:
    return [f"{problem['path']} {problem['code']} {problem['severity']}" for problem in answer.data.get("problems", [])]


def test_a_good_spec_is_saved_as_text_or_as_an_object(tools: Tools, ledger: Ledger) -> None:
    data = spec("shipped")
    first = tools.call("save_workflow", spec=data)
    text = "# by hand\n" + dump_spec(load_draft(ledger, "shipped").workflow)
    second = tools.call("save_workflow", spec=text)
    assert (first.data["saved"], first.data["valid"], first.data["revision"]) == (True, True, 1)
    assert second.data["revision"] == 2
    assert load_draft(ledger, "shipped").source == text
    assert second.data["digest"] == first.data["digest"]
    assert "tell shop.customers" in first.data["words"]
    assert "preview_message" in first.data["next_step"]
    assert missing_from_text(second) == []


def test_problems_are_an_answer_with_path_and_fix_and_the_draft_is_kept(tools: Tools, ledger: Ledger) -> None:
    answer = tools.call(
        "save_workflow", spec=spec("shipped", trigger={"change": "shop.orders", "becomes": "status = 'shippd'"})
    )
    assert _codes(answer)[0] == "/trigger/becomes never-true problem"
    assert "Did you mean 'shipped'?" in answer.data["problems"][0]["fix"]
    assert answer.data["saved"]
    assert not answer.data["valid"]
    assert "digest" not in answer.data
    assert load_draft(ledger, "shipped").revision == 1
    assert missing_from_text(answer) == []


def test_what_has_no_shape_is_not_saved_and_everything_is_said_at_once(tools: Tools) -> None:
    answer = tools.call("save_workflow", spec="workflow: Bad Name\nabout: x\ntriger: {}\nsteps: []\n")
    assert not answer.data["saved"]
    assert {line.split()[0] for line in _codes(answer)} == {"/workflow", "/triger", "/steps"}
    broken = tools.call("save_workflow", spec="workflow: [a\n")
    assert _codes(broken) == ["/ yaml-syntax problem"]
    assert tools.call("list_workflows").data["summary"] == "0 workflow(s)."


def test_a_draft_that_somebody_else_saved_is_not_overwritten(tools: Tools, ledger: Ledger) -> None:
    tools.call("save_workflow", spec=spec("shipped"), expected_revision=0)
    said = tools.refused("save_workflow", spec=spec("shipped", about="Another."), expected_revision=0)
    assert "is at revision 1, saved by a chat client" in said
    assert load_draft(ledger, "shipped").workflow.about == "Tells the customer."


def test_a_spec_is_checked_by_name_or_as_it_is(tools: Tools) -> None:
    tools.call("save_workflow", spec=spec("shipped"))
    by_name = tools.call("validate_workflow", workflow="shipped")
    as_is = tools.call("validate_workflow", spec=spec("shipped"))
    assert by_name.data["digest"] == as_is.data["digest"] != ""
    assert "saved" not in as_is.data
    assert _codes(tools.call("validate_workflow", spec={"workflow": "x"}))[0] == "/about missing-key problem"
    assert "Give exactly one of" in tools.refused("validate_workflow")
    assert "Give exactly one of" in tools.refused("validate_workflow", workflow="shipped", spec="x")
    assert "Did you mean 'shipped'?" in tools.refused("validate_workflow", workflow="shiped")


def test_an_address_in_a_spec_is_refused(tools: Tools) -> None:
    steps = [{**spec()["steps"][0], "to": "SELECT 'x' AS key, 'thief@evil.test' AS email"}]
    answer = tools.call("validate_workflow", spec=spec("shipped", steps=steps))
    assert "/steps/0/to address-lineage problem" in _codes(answer)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda text: text.split("\n")[0])
def test_the_guides_examples_pass_on_the_real_schema(source: Source, ledger: Ledger, example: str) -> None:
    verdict = judge(source, ledger, load_spec(example))
    assert (verdict.problems, verdict.warnings) == ((), ())


def test_a_workflow_is_shown_with_what_is_needed_to_change_it(tools: Tools) -> None:
    tools.call("save_workflow", spec=spec("shipped"))
    answer = tools.call("get_workflow_and_preview_url", workflow="shipped")
    assert answer.data["preview_url"] == "http://127.0.0.1:8710/workflows/shipped"
    assert answer.data["state"] == "draft"
    again = tools.call("save_workflow", spec=answer.data["spec"], expected_revision=answer.data["revision"])
    assert again.data["saved"]
    assert missing_from_text(answer) == []


def test_workflows_are_listed_page_by_page_and_found_by_word(tools: Tools) -> None:
    for number in range(32):
        tools.call("save_workflow", spec=spec(f"flow-{number:02}", about=f"Number {number}."))
    first = tools.call("list_workflows")
    assert [len(first.data["workflows"]), first.data["more"]] == [30, 2]
    second = tools.call("list_workflows", page=2)
    assert [line["name"] for line in second.data["workflows"]] == ["flow-30", "flow-31"]
    assert [line["name"] for line in tools.call("list_workflows", search="number 7.").data["workflows"]] == ["flow-07"]
    assert tools.call("list_workflows", state="live").data["summary"] == "0 of 32 workflow(s)."
    assert "the last is 2" in tools.refused("list_workflows", page=3)
    assert missing_from_text(first) == []
