"""The table of faults names tests that exist."""

import re
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_NAMED = re.findall(r"`(tests/\S+\.py)::(test_\w+)`", Path(__file__).with_name("README.md").read_text())


def test_the_table_names_tests() -> None:
    assert len(_NAMED) > 40


@pytest.mark.parametrize(("path", "name"), _NAMED, ids=[name for _, name in _NAMED])
def test_a_test_that_the_table_names_exists(path: str, name: str) -> None:
    assert re.search(rf"^def {name}\(", (_ROOT / path).read_text(), re.MULTILINE)
