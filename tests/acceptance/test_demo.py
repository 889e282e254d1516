"""The demo is the story: told with and without a terminal, gone after Ctrl-C, going on at a second start."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.person import Person
from tests.processes import environment_of, processes_of

CHAPTERS = (
    "1. A shop with a database",
    "2. A sentence becomes a workflow",
    "3. A second one, which waits",
    "4. A row changes, and a message arrives",
    "5. A workflow that waits",
    "6. Anyone can ask why",
)


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """An environment whose home is the test's; whatever still runs for it at the end fails the test."""
    home = tmp_path / "home"
    yield environment_of(home)
    assert processes_of(home) == []


def test_the_story_is_told_without_a_terminal_twice(environment: dict[str, str]) -> None:
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-m", "cli", "demo"],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=110,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert [chapter for chapter in CHAPTERS if chapter not in done.stdout] == []
        assert "played in the place of a model" in done.stdout
        assert "ana@example.com" in done.stdout


def test_ctrl_c_at_a_question_ends_it_and_leaves_no_process_behind(environment: dict[str, str]) -> None:
    with Person([sys.executable, "-m", "cli", "demo"], environment) as person:
        person.expect("Approve order-shipped?", seconds=90)
        assert person.interrupt(seconds=40) == 130
        assert "Traceback" not in person.screen
    assert processes_of(Path(environment["TIDINGS_HOME"])) == []


def test_a_person_presses_enter_and_ctrl_c_leaves_no_process_behind(environment: dict[str, str]) -> None:
    with Person([sys.executable, "-m", "cli", "demo"], environment) as person:
        for question in ("Approve order-shipped?", "Approve review-request?", "Let three days pass?"):
            person.expect(question, seconds=90)
            person.press("\n")
        person.expect("Ctrl-C stops everything", seconds=60)
        assert person.interrupt(seconds=40) == 0
    assert processes_of(Path(environment["TIDINGS_HOME"])) == []
