import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cli.main import main
from runtime.settings import write_project
from tests.tool_clients import ROOT, TOKEN, connected, write_home
from tools.http import client_token, resource_url

HELLO = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}


def _tidings(home: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, env={"TIDINGS_HOME": str(home), "TIDINGS_CONSOLE_PORT": ""})


def _started(home: Path) -> subprocess.Popen[bytes]:
    environment = {"TIDINGS_HOME": str(home), "PATH": os.environ["PATH"], "HOME": str(home), "TMPDIR": str(home)}
    command = [sys.executable, "-m", "cli", "mcp"]
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def _ask(process: subprocess.Popen[bytes], method: str, **params: Any) -> dict[str, Any]:
    assert process.stdin
    assert process.stdout
    message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    process.stdin.write(json.dumps(message).encode() + b"\n")
    process.stdin.flush()
    answer: dict[str, Any] = json.loads(process.stdout.readline())
    return answer


def _left(home: Path) -> list[str]:
    return [path.name for path in home.iterdir() if path.name != "project.json"]


def test_the_config_for_a_client_names_this_very_program_and_home(tmp_path: Path) -> None:
    home = write_home(tmp_path, "postgresql://nobody@127.0.0.1:1/none")
    shown = _tidings(home, "mcp", "--print-config", "cursor").stdout
    entry = json.loads(shown.partition("\n")[2])["mcpServers"]["tidings"]
    assert Path(entry["command"]).exists()
    assert entry["args"] == ["mcp"]
    assert entry["env"] == {"TIDINGS_HOME": str(home)}


def test_the_config_over_http_has_a_token_of_its_own_with_the_scopes_asked_for(tmp_path: Path) -> None:
    home = write_home(tmp_path, "postgresql://nobody@127.0.0.1:1/none")
    shown = _tidings(home, "mcp", "--print-config", "vscode", "--http", "--scope", "workflows:read").stdout
    entry = json.loads(shown.partition("\n")[2])["servers"]["tidings"]
    url = resource_url("127.0.0.1", 8710)
    token = client_token(TOKEN, url, ["workflows:read"])
    assert entry == {"type": "http", "url": url, "headers": {"Authorization": f"Bearer {token}"}}
    assert TOKEN not in shown


def test_without_a_project_it_says_what_to_do(tmp_path: Path) -> None:
    result = _tidings(tmp_path, "mcp")
    assert result.exit_code == 1
    assert "Run `tidings init <DATABASE_URL>`" in result.stderr


def test_it_ends_with_its_input(tmp_path: Path, database: str) -> None:
    home = write_home(tmp_path, database)
    with _started(home) as process:
        assert _ask(process, "initialize", **HELLO)["result"]["serverInfo"]["name"] == "tidings"
        assert process.stdin
        process.stdin.close()
        assert process.wait(timeout=5) == 0
    assert _left(home) == []


def test_a_signal_ends_it_though_its_input_stays_open_and_nothing_stays_behind(tmp_path: Path, database: str) -> None:
    home = write_home(tmp_path, database)
    with _started(home) as process:
        _ask(process, "initialize", **HELLO)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=5) == 128 + signal.SIGTERM
    assert _left(home) == []


def test_a_server_of_tidings_own_that_does_not_run_is_told_at_once(tmp_path: Path) -> None:
    home = tmp_path / "home"
    url = "postgresql://nobody@127.0.0.1:1/none"
    write_project(
        home, project="x", installer_url=url, ledger_url=url, reader_url=url, console_token=TOKEN, embedded=True
    )
    with connected("memory", home) as tools:
        begun = time.monotonic()
        assert "Ask the person to run `tidings up`, then call again." in tools.refused("get_status")
        assert time.monotonic() - begun < 5


@pytest.mark.parametrize("argument", ["--print-config=emacs", "--scope=admin"])
def test_what_is_not_known_is_named(tmp_path: Path, argument: str) -> None:
    result = _tidings(tmp_path, "mcp", argument)
    assert result.exit_code == 2
    assert "is not one of" in result.stderr
