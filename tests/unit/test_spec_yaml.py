"""Specs as text: what loads, what is refused and how that is said, and that writing loses nothing."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.errors import Invalid, Problem
from runtime.spec.model import ChangeTrigger, ScheduleTrigger, SendStep, WaitStep, Workflow
from runtime.spec.yaml import dump_spec, load_spec, parse_spec

EXAMPLES = Path(__file__).parents[2] / "examples"
SEND = {"send": "tell", "to": "SELECT 1", "channels": ["email"], "texts": [{"subject": "x", "body": "y"}]}
WHOLE: dict[str, Any] = {
    "workflow": "test",
    "about": "x",
    "trigger": {"schedule": "0 8 * * 1"},
    "steps": [SEND],
}


def problems(text: str | dict[str, Any]) -> list[Problem]:
    """Load a spec that is wrong and return what is wrong with it."""
    with pytest.raises(Invalid) as error:
        load_spec(text) if isinstance(text, str) else parse_spec(text)
    return list(error.value.problems)


def told(text: str | dict[str, Any]) -> list[str]:
    """Return the problems of a wrong spec as a person reads them."""
    return [str(problem) for problem in problems(text)]


def test_every_scalar_is_a_text() -> None:
    text = """
        workflow: no
        about: on
        trigger: {schedule: 0 8 * * 1, zone: 21:00}
        steps:
          - {wait: yes, for: 1e3}
          - {send: 1.0, to: null, channels: [email], texts: [{subject: true, body: 2026-01-01}]}
    """
    workflow = load_spec(text)
    assert (workflow.workflow, workflow.about) == ("no", "on")
    assert isinstance(workflow.trigger, ScheduleTrigger)
    assert workflow.trigger.zone == "21:00"
    wait, send = workflow.steps
    assert isinstance(wait, WaitStep)
    assert isinstance(send, SendStep)
    assert (wait.wait, wait.duration) == ("yes", "1e3")
    assert (send.send, send.to, send.texts[0].subject, send.texts[0].body) == ("1.0", "null", "true", "2026-01-01")


def test_json_is_read_too_and_its_scalars_are_texts() -> None:
    spec = {**WHOLE, "if": None, "steps": [{"wait": "a", "for": 5}, SEND]}
    assert load_spec(json.dumps(spec)) == load_spec(json.dumps({**WHOLE, "steps": [{"wait": "a", "for": "5"}, SEND]}))
    assert load_spec('  {"workflow": "a\\u00e9"'.replace("a\\u00e9", "test") + json.dumps(WHOLE)[19:]).about == "x"


def test_empty_texts_count_as_left_out_so_the_form_for_models_means_the_same() -> None:
    trigger = {"change": "shop.orders", "ops": [], "columns": [], "becomes": "a = 1", "when": ""}
    full = {
        **WHOLE,
        "trigger": trigger,
        "if": "",
        "while": "",
        "steps": [{**SEND, "category": "", "topic": "", "if": ""}],
    }
    short = {**WHOLE, "trigger": {"change": "shop.orders", "becomes": "a = 1"}}
    assert parse_spec(full) == parse_spec(short)
    assert isinstance(parse_spec(full).trigger, ChangeTrigger)


def test_a_misspelt_key_is_told_with_the_nearest_one_and_not_as_missing_too() -> None:
    send = {"send": "a", "to": "SELECT 1", "chanels": ["email"], "texts": [{"body": "x"}]}
    assert told({**WHOLE, "steps": [SEND, send]}) == [
        "/steps/1/chanels: unknown key 'chanels'. Did you mean 'channels'?"
    ]


def test_all_problems_of_the_shape_are_told_at_once() -> None:
    spec = {
        "workflow": "Not A Name",
        "trigger": {"change": "a.b", "ops": ["insrt"], "columns": "status", "filter": "x"},
        "steps": [
            {"query": "q", "sql": ["a"], "send": "b"},
            {"sendd": "x"},
            "wait",
            {"wait": "w", "for": {"days": "3"}},
            {"send": "s", "to": "SELECT 1", "channels": [], "texts": [{"blocks": [{"type": "fact", "columns": [{}]}]}]},
        ],
        "limits": [],
        "on": "x",
    }
    found = {(p.path, p.code): f"{p.message} {p.fix}" for p in problems(spec)}
    assert set(found) == {
        ("/workflow", "bad-name"),
        ("/about", "missing-key"),
        ("/trigger/ops/0", "unknown-value"),
        ("/trigger/columns", "wrong-kind"),
        ("/trigger/filter", "unknown-key"),
        ("/steps/0/sql", "wrong-kind"),
        ("/steps/0/send", "two-kinds"),
        ("/steps/1", "unknown-kind"),
        ("/steps/2", "wrong-kind"),
        ("/steps/3/for", "wrong-kind"),
        ("/steps/4/channels", "too-short"),
        ("/steps/4/texts/0/blocks/0/type", "unknown-value"),
        ("/steps/4/texts/0/blocks/0/columns/0/label", "missing-key"),
        ("/steps/4/texts/0/blocks/0/columns/0/value", "missing-key"),
        ("/limits", "not-built-yet"),
        ("/on", "unknown-key"),
    }
    assert "Did you mean 'insert'?" in found["/trigger/ops/0", "unknown-value"]
    assert "Write it as a list: [status]." in found["/trigger/columns", "wrong-kind"]
    assert "Did you mean 'when'?" in found["/trigger/filter", "unknown-key"]
    assert "Did you mean 'send'?" in found["/steps/1", "unknown-kind"]
    assert "Did you mean 'trigger'?" in found["/on", "unknown-key"]
    assert not any("pydantic" in text or "Input should" in text for text in found.values())


def test_what_the_language_knows_but_this_version_does_not_is_said_so() -> None:
    for spec in (
        {**WHOLE, "trigger": {"moment": "SELECT 1", "key": ["id"]}},
        {**WHOLE, "steps": [{"collect": "a", "by": "new.id"}]},
        {**WHOLE, "steps": [{**SEND, "quiet": []}]},
        {**WHOLE, "steps": [{**SEND, "channels": ["sms"]}]},
    ):
        assert [problem.code for problem in problems(spec)] == ["not-built-yet"]


def test_lengths_are_bounded() -> None:
    assert [(p.path, p.code) for p in problems({**WHOLE, "about": "x" * 2_001, "steps": [SEND] * 51})] == [
        ("/about", "too-long"),
        ("/steps", "too-long"),
    ]


@pytest.mark.parametrize(
    ("text", "code", "says"),
    [
        ("workflow: a: b", "yaml-syntax", "Line 1, column 12"),
        ('about: "x\n', "yaml-syntax", "unexpected end of stream"),
        ("\tworkflow: a", "yaml-syntax", "Line 1, column 1"),
        ("a: \x01", "yaml-syntax", "Character 3"),
        ("a: &x 1\nb: *x", "yaml-alias", "Line 2 repeats another part by *x"),
        ("a: 1\n---\nb: 2", "two-documents", "line 2"),
        ("[" * 5_000, "too-deep", "nested deeper"),
        ("{" * 5_000, "too-deep", "nested deeper"),
        ("a: 1\nb: {c: 1, c: 2}\na: 3", "duplicate-key", "line 3"),
        ('{"a": 1, "a": 2}', "duplicate-key", "'a' is written twice"),
        ("? [a]\n: 1", "bad-key", "as a key"),
        ("", "wrong-kind", "is empty"),
        ("- a", "wrong-kind", "is a list"),
        ("x" * 1_000_001, "too-long", "1,000,001"),
        (json.dumps({**WHOLE, "about": "a\x00b"}), "bad-character", "no text"),
        (json.dumps({**WHOLE, "about": "\ud800"}), "bad-character", "no text"),
    ],
)
def test_text_that_is_no_spec_is_refused_with_its_place(text: str, code: str, says: str) -> None:
    found = problems(text)
    assert code in {problem.code for problem in found}
    assert says in "\n".join(map(str, found))


def test_a_bomb_of_aliases_costs_nothing() -> None:
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 60)]
    assert [problem.code for problem in problems("\n".join(lines))] == ["yaml-alias"]


def test_a_text_that_was_cut_at_a_comma_is_recognised() -> None:
    text = "workflow: ab\nabout: x\ntrigger: {change: a.b, becomes: f(a, b) = 1}\nsteps: []"
    assert any("cut at a comma" in line for line in told(text))


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_examples_load_back_equal_and_read_well(path: Path) -> None:
    workflow = load_spec(path.read_text(encoding="utf-8"))
    text = dump_spec(workflow)
    assert load_spec(text) == workflow
    assert "channels: [email]" in text
    assert "locale: ''" not in text


def test_sql_of_several_lines_stands_in_a_block() -> None:
    sql = "SELECT a\nFROM b\nWHERE c"
    text = dump_spec(parse_spec({**WHOLE, "steps": [{"query": "q", "sql": sql}, SEND]}))
    assert "  sql: |-\n    SELECT a\n    FROM b\n    WHERE c\n" in text


WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=200)
LINES = st.lists(
    st.sampled_from(["a", " b", "c ", "", "\t", "- d", "# e", "x: y", "'", '"', "|", "é"]), min_size=1
).map("\n".join)


@settings(max_examples=200, deadline=None)
@given(about=WORDS, sql=WORDS | LINES, body=WORDS | LINES, columns=st.lists(WORDS, max_size=3))
def test_writing_and_reading_again_changes_nothing(about: str, sql: str, body: str, columns: list[str]) -> None:
    trigger = {"change": "a.b", "columns": columns, "becomes": sql}
    send = {**SEND, "texts": [{"subject": about, "body": body}]}
    workflow: Workflow = parse_spec({"workflow": "test", "about": about, "trigger": trigger, "steps": [send]})
    assert load_spec(dump_spec(workflow)) == workflow
