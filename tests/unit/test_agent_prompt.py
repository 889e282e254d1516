"""What the model is told and how its answers are read, without a model, a database or a graph."""

import json
import subprocess
import sys
from typing import Any

import pytest

from agent.answer import answer_schema, read_answer
from agent.graph import NODES, WAYS
from agent.prompt import describe_database, prompt, role
from agent.repair import MOST_REPAIRS, problem, redo
from agent.state import Budget, State
from tests.servers.anthropic_rules import schema_refusals
from tools.language import guide

OVERVIEW = {"summary": "1 table.", "tables": ["shop.orders: 8 columns"], "contacts": ["ops (email)"], "zone": "UTC"}


def test_the_form_of_an_answer_is_one_that_structured_outputs_take() -> None:
    schema = answer_schema()
    assert schema_refusals(schema) == []
    assert list(schema["properties"]) == ["questions", "impossible", "look_at", "workflow"]
    assert json.dumps(schema).count('"anyOf"') == 3


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "Expecting value"), ("Sure!", "Expecting value"), ("[1]", "no JSON object"), ('"x"', "no JSON object")],
)
def test_what_is_no_answer_is_refused_with_a_reason(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_answer(text)


def test_an_answer_is_read_leniently_where_no_schema_was_enforced() -> None:
    assert read_answer('{"questions": "x", "impossible": null}') == ([], "", [], None)
    bare = read_answer('{"workflow": "a", "trigger": {}, "steps": []}')
    assert bare.workflow == {"workflow": "a", "trigger": {}, "steps": []}
    assert read_answer('{"questions": [" a ", ""], "workflow": {}}') == (["a"], "", [], None)


def test_equal_databases_make_equal_prompts_whatever_markers_the_tools_drew() -> None:
    def marked(boundary: str, said: str) -> dict[str, Any]:
        data = {"integrity": "untrusted", "boundary": boundary, "note": "n", "begin": f"<{boundary}>", "data": said}
        return {**OVERVIEW, "data": {**data, "end": f"</{boundary}>"}}

    first, second, other = marked("aa", "x"), marked("bb", "x"), marked("aa", "y")
    assert describe_database(first, []) == describe_database(second, [])
    assert describe_database(first, []) != describe_database(other, [])
    assert "summary" not in describe_database(first, [])


def test_details_do_not_repeat_the_overview_and_columns_may_be_called_anything() -> None:
    comments = {"shop.orders": {"comments": {"summary": "said", "note": "kept", "next_step": "too"}}}
    detail = {**OVERVIEW, "details": [], "data": {"integrity": "untrusted", "boundary": "aa", "data": comments}}
    text = describe_database(OVERVIEW, [detail])
    assert text.count("ops (email)") == 1
    assert all(word in text for word in ("said", "kept", "too"))


def test_the_prompt_begins_with_what_never_changes_and_ends_with_what_is_wrong() -> None:
    state: State = {
        "request": "Tell ops.",
        "reply": '{"workflow": 1}',
        "problems": [problem("x", "é", "z")],
        "repeats": 0,
    }
    made = prompt(state, guide="GUIDE", catalog="CATALOG")
    assert made.system == (f"{role()}\n\nGUIDE", "CATALOG")
    assert made.turns[0] == "The request:\n\nTell ops."
    assert made.turns[1] == '{"workflow": 1}'
    assert '"message": "é"' in made.turns[2]
    alone = prompt({**state, "reply": ""}, guide="", catalog="")
    assert len(alone.turns) == 1
    assert '"message": "é"' in alone.turns[0]


def test_the_role_says_what_the_answers_form_is_called() -> None:
    assert all(f"`{key}`" in role() for key in answer_schema()["properties"])
    assert "untrusted" in guide() or "markers" in role()


def test_three_repairs_are_allowed_and_fewer_when_nothing_gets_better() -> None:
    bad, worse = problem("a", "m", "f"), problem("b", "m", "f")
    assert redo({"attempts": 1}, [bad]).node == "draft"
    assert redo({"attempts": MOST_REPAIRS, "problems": [worse]}, [bad]).node == "draft"
    assert redo({"attempts": MOST_REPAIRS + 1, "problems": [worse]}, [bad]).node == "give_up"
    assert redo({"attempts": 2, "problems": [bad], "repeats": 0}, [bad]).update["repeats"] == 1
    assert redo({"attempts": 2, "problems": [bad, worse], "repeats": 1}, [worse, bad]).node == "give_up"
    assert redo({"attempts": 2, "problems": [bad], "repeats": 1}, [worse]).update["repeats"] == 0


def test_a_budget_counts_calls_and_everything_read_and_written() -> None:
    call = {"input": 100, "output": 10, "cached": 90}
    assert Budget(calls=2, tokens=1_000).spent([call]) == ""
    assert Budget(calls=2, tokens=1_000).spent([call] * 2) == "2 calls of the model"
    assert Budget(calls=9, tokens=220).spent([call] * 2) == "220 tokens"


def test_every_node_is_reached_and_leads_to_nodes_that_there_are() -> None:
    assert set(WAYS) == set(NODES)
    led_to = {node for ways in WAYS.values() for node in ways} - {""}
    assert led_to == set(NODES) - {"ground"}
    assert "publish" not in {node for name, ways in WAYS.items() if name != "review" for node in ways}


def test_neither_the_drafter_nor_the_tools_load_a_model_before_it_is_needed() -> None:
    code = "import sys, agent.drafter; print([m for m in ('anthropic', 'langgraph', 'langsmith') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
