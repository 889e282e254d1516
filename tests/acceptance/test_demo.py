"""The demo is the story: told with and without a terminal, gone after Ctrl-C, going on at a second start."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.person import Person

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
    keep = {key: value for key, value in os.environ.items() if not key.startswith(("TIDINGS_", "ANTHROPIC_"))}
    yield {**keep, "TIDINGS_HOME": str(home), "COLUMNS": "120"}
    assert processes_of(home) == []


def processes_of(home: Path) -> list[str]:
    """Return the command lines of processes that were started for a home."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            environ = (folder / "environ").read_bytes()
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            where = str((folder / "cwd").readlink())
        except OSError:
            continue
        if str(home).encode() in environ or where.startswith(str(home)):
            found.append(command)
    return found


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


def test_a_person_presses_enter_and_ctrl_c_leaves_no_process_behind(environment: dict[str, str]) -> None:
    with Person([sys.executable, "-m", "cli", "demo"], environment) as person:
        for question in ("Approve order-shipped?", "Approve review-request?", "Let three days pass?"):
            person.expect(question, seconds=90)
            person.press("\n")
        person.expect("Ctrl-C stops everything", seconds=60)
        assert person.interrupt(seconds=40) == 0
    assert processes_of(Path(environment["TIDINGS_HOME"])) == []
