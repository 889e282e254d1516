"""Texts and the problems they have, word for word: pairs in the files of tests/templates_cases."""

import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from runtime.errors import Invalid
from runtime.spec.model import SendStep
from runtime.spec.names import names_in_scope
from runtime.spec.placeholders import columns_printed
from runtime.spec.yaml import load_spec
from runtime.templates.compile import check_texts, compile_texts
from runtime.templates.environment import template_of
from tests.spec_catalog import shop
from tests.templates_sample import NAMES, send

ROOT = Path(__file__).parents[2]
CASES: list[dict[str, Any]] = [
    case
    for file in sorted((ROOT / "tests" / "templates_cases").glob("*.yaml"))
    for case in yaml.safe_load(file.read_text(encoding="utf-8"))
]


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_a_text_has_exactly_these_problems(case: dict[str, Any]) -> None:
    problems = check_texts(send(case["text"]), "", NAMES)
    said = [f"{p.code}{' (w)' * p.warning} {p}".replace("/texts/0", "") for p in problems]
    assert case["expect"] == said
    for problem in problems:
        assert problem.message.endswith(".")
        assert problem.fix.endswith((".", "?"))


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_compiling_refuses_the_same_problems_and_lets_warnings_pass(case: dict[str, Any]) -> None:
    step = send(case["text"])
    wrong = tuple(problem for problem in check_texts(step, "/steps/4", NAMES) if not problem.warning)
    if not wrong:
        assert compile_texts(step, "/steps/4", NAMES)
        return
    with pytest.raises(Invalid) as caught:
        compile_texts(step, "/steps/4", NAMES)
    assert wrong == caught.value.problems
    assert all(problem.path.startswith("/steps/4/texts/0") for problem in wrong)


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_texts_of_every_example_have_no_problem_and_no_warning(path: Path) -> None:
    workflow = load_spec(path.read_text(encoding="utf-8"))
    names = names_in_scope(workflow, shop())
    for number, step in enumerate(workflow.steps):
        if isinstance(step, SendStep):
            assert check_texts(step, f"/steps/{number}", names[step.send]) == []


TOO_DEEP = "too-deep /body: Expressions and blocks stand too deep inside each other. Compute it in a `query` step."
BOMBS = {
    "deep": "{{ " + "(" * 80 + "1" + " + 1)" * 80 + " }}",
    "deeper than Python goes": "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    "a long chain": "{{ 1" + " + 1" * 10_000 + " }}",
    "conditions in each other": "{% if new.id %}" * 500 + "x" + "{% endif %}" * 500,
    "a number without end": "{{ " + "9" * 5000 + " }}",
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS.keys())
def test_what_is_too_deep_is_told_without_a_crash(bomb: str) -> None:
    step = send({"body": bomb})
    assert [f"{p.code} {p}".replace("/texts/0", "") for p in check_texts(step, "", NAMES)] == [TOO_DEEP]
    assert columns_printed(step, "new") is not None  # what asks first is not felled by it either


def test_a_text_beyond_64_kb_is_refused_unread() -> None:
    blocks = [{"type": "text", "text": "{{" * 20_000}, {"type": "text", "text": "x" * 30_000}]
    (problem,) = check_texts(send({"blocks": blocks}), "/steps/0", NAMES)
    message = "/steps/0/texts/0: The text has 70,002 characters; at most 65,536 are taken. Leave something out."
    assert (problem.code, str(problem)) == ("too-long", message)


HOSTILE = [
    "{{ 'a' | center(10000000000) }}",
    "{{ '%10000000000s' | format('a') }}",
    "{{ 9 ** 9 ** 9 ** 9 }}",
    "{% set a = 'aaaaaaaaaa' %}" + "{% set a = a ~ a %}" * 40 + "{{ a }}",
    "{% for a in range(10000000) %}{% for b in range(10000000) %}x{% endfor %}{% endfor %}",
    "{{ lipsum(1000000) }}",
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ new | attr('__class__') }}",
    "{{ lines | map(attribute='__class__') | list }}",
    "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "{{ self.__init__.__globals__ }}",
    "{{ ['a'] | map('format') | join }}",
    "{{ 'a' | replace('a', 'aaaaaaaaaa') | replace('a', 'aaaaaaaaaa') }}",
    "{% include 'x' %}",
]


@pytest.mark.parametrize("source", HOSTILE)
@pytest.mark.parametrize("place", ["{}", "{{% if new.id %}}{}{{% endif %}}", "- {}\n- x", "**{}**"])
def test_a_hostile_template_is_refused_before_anything_is_compiled(source: str, place: str) -> None:
    compiled_before = template_of.cache_info().currsize
    begun = time.perf_counter()
    problems = check_texts(send({"body": place.format(source)}), "", NAMES)
    assert [problem for problem in problems if not problem.warning]
    assert time.perf_counter() - begun < 1
    assert template_of.cache_info().currsize == compiled_before
