"""`tidings up` as a person runs it: on a database of its own, in a terminal, with a home that all tests here share."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runtime.setup.embedded import embedded_server
from tests.acceptance.person import Person
from tests.processes import environment_of, processes_of
from tests.tool_clients import free_port

UP = [sys.executable, "-m", "cli", "up"]
SECONDS = 60.0


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """An environment with a home and a port of its own, and one worker."""
    home = tmp_path_factory.mktemp("up") / "home"
    yield environment_of(home, TIDINGS_CONSOLE_PORT=str(free_port()), TIDINGS_WORKER_PROCESSES="1")
    embedded_server(home).stop()


@pytest.fixture
def home(environment: dict[str, str]) -> Iterator[Path]:
    """The home; whatever still runs for it at the end fails the test."""
    home = Path(environment["TIDINGS_HOME"])
    yield home
    assert processes_of(home) == []


def test_it_sets_up_a_database_serves_and_is_gone_after_ctrl_c(environment: dict[str, str], home: Path) -> None:
    with Person(UP, environment) as person:
        person.expect("Console and inbox   http://127.0.0.1:", seconds=SECONDS)
        person.expect("Your database       postgresql://", seconds=SECONDS)
        person.expect("Ctrl-C stops everything", seconds=SECONDS)
        assert eventually(lambda: health(environment) == "green")
        second = subprocess.run(UP, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False)
        assert (second.returncode, second.stderr) == (
            1,
            f"Error: Tidings is running for {home} already. Stop that one first.\n",
        )
        assert health(environment) == "green"
        assert person.interrupt(seconds=SECONDS) == 0
        assert "Traceback" not in person.screen


def test_kill_9_leaves_nothing_but_postgres_and_a_second_start_goes_on(environment: dict[str, str], home: Path) -> None:
    with Person(UP, environment) as person:
        person.expect("Ctrl-C stops everything", seconds=SECONDS)
        person.process.kill()
        person.process.wait()
        assert eventually(lambda: all("postgres" in command for command in processes_of(home)))
    assert embedded_server(home).running()
    with Person(UP, environment) as person:
        person.expect("Ctrl-C stops everything", seconds=SECONDS)
        assert eventually(lambda: health(environment) == "green")
        os.kill(person.process.pid, signal.SIGHUP)  # the terminal is closed
        person.process.wait(SECONDS)


def test_ctrl_c_while_it_starts_leaves_nothing(environment: dict[str, str], home: Path) -> None:
    with Person(UP, environment) as person:
        person.expect("Starting a dispatcher", seconds=SECONDS)
        assert person.interrupt(seconds=SECONDS) == 130
    assert processes_of(home) == []


@pytest.mark.usefixtures("home")
def test_a_port_that_somebody_uses_is_named_before_anything_starts(environment: dict[str, str]) -> None:
    with Person([sys.executable, "-m", "http.server", environment["TIDINGS_CONSOLE_PORT"]], environment) as other:
        other.expect("Serving HTTP", seconds=SECONDS)
        done = subprocess.run(UP, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 1
    assert f"127.0.0.1:{environment['TIDINGS_CONSOLE_PORT']} can't be used for the console" in done.stderr
    assert "TIDINGS_CONSOLE_PORT=" in done.stderr
    assert "Traceback" not in done.stderr


def health(environment: dict[str, str]) -> str:
    """Return what the console says of its own state."""
    with urllib.request.urlopen(f"http://127.0.0.1:{environment['TIDINGS_CONSOLE_PORT']}/healthz", timeout=5) as answer:
        return str(json.load(answer)["status"])


def eventually(holds: Callable[[], bool]) -> bool:
    """Return whether something comes true within some seconds."""
    deadline = time.monotonic() + 15
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
