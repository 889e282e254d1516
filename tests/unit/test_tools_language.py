"""The guide that models read: short, true to the spec, and with examples that hold."""

import re

import pytest

from runtime.spec.json_schema import model_schema
from runtime.spec.validate import validate
from runtime.spec.yaml import load_spec
from tests.spec_catalog import shop
from tools.language import guide
from tools.server import INSTRUCTIONS

EXAMPLES = re.findall(r"```yaml\n(.*?)```", guide(), re.DOTALL)


def test_there_are_three_worked_examples() -> None:
    assert len(EXAMPLES) == 3


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda text: text.split("\n")[0])
def test_every_example_is_valid_without_a_warning(example: str) -> None:
    assert validate(load_spec(example), shop()) == []


def test_the_guide_is_at_most_2000_tokens() -> None:
    """A token of English, SQL and YAML is above three characters."""
    assert len(guide()) / 3.1 < 2_000


def test_every_key_of_the_language_is_in_the_guide() -> None:
    known = set(re.findall(r"\w+", guide()))
    keys = set(re.findall(r"'(\w+)': \{", str(model_schema()["properties"])))
    assert keys - known - {"properties", "items", "condition", "duration", "while_"} == set()


def test_the_instructions_fit_into_what_clients_show() -> None:
    assert len(INSTRUCTIONS) <= 2_048
    assert INSTRUCTIONS.startswith("Use Tidings when ")
