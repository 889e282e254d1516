import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli.main import COMMANDS, main
from runtime.postgres.server import PostgresServer
from runtime.setup.embedded import embedded_server
from tests.fresh_database import fresh_database, snapshot

ROOT = Path(__file__).parents[2]


@pytest.fixture
def url(server: PostgresServer) -> Iterator[str]:
    with fresh_database(server, "line") as url:
        yield url


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TIDINGS_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("DATABASE_URL", raising=False)
    return tmp_path / "home"


def _tidings(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def test_without_a_terminal_it_says_what_it_would_do_and_how_to_say_yes(url: str, home: Path) -> None:
    before = snapshot(url)
    result = _tidings("init", url)
    assert result.exit_code == 1
    assert "    shop.orders: status (pending | paid | shipped" in result.output
    assert "Let tidings_line_reader read 6 table(s)" in result.output
    assert "Run it again with --yes" in result.stderr
    assert snapshot(url) == before
    assert not home.exists()


@pytest.mark.usefixtures("home")
def test_the_sql_can_be_read_first_and_holds_no_password(url: str) -> None:
    result = _tidings("init", url, "--sql")
    assert result.exit_code == 0
    assert 'GRANT SELECT ON "shop"."orders" TO "tidings_line_reader";' in result.stdout
    assert "PASSWORD" not in result.stdout


def test_init_doctor_status_and_uninstall_work_one_after_the_other(url: str, home: Path) -> None:
    before = snapshot(url)
    assert _tidings("init", url, "--yes", "--name", "letters").exit_code == 0
    assert "nothing to do" in _tidings("init", url).output
    doctor = _tidings("doctor", "--json")
    assert doctor.exit_code == 0
    assert {finding["level"] for finding in json.loads(doctor.stdout)} == {"ok", "note"}
    assert "CREATE ROLE" not in _tidings("doctor", "--grants").stdout
    assert json.loads(_tidings("status", "--json").stdout)["name"] == "letters"
    assert "everything goes to the local inbox" in _tidings("status").stdout
    assert _tidings("uninstall").exit_code == 1
    assert "as it was" in _tidings("uninstall", url, "--yes").stdout
    assert snapshot(url) == before
    assert not home.exists()
    assert "Nothing of Tidings" in _tidings("uninstall", url, "--yes").stdout


@pytest.mark.usefixtures("home")
def test_doctor_prints_the_grants_before_anything_is_installed(url: str) -> None:
    result = _tidings("doctor", "--grants", url)
    assert 'CREATE ROLE "tidings_line_reader" LOGIN;' in result.stdout


def test_without_a_url_it_brings_its_own_server(home: Path) -> None:
    try:
        result = _tidings("init", "--yes")
        assert result.exit_code == 0, result.output
        assert "Creating a Postgres server" in result.stderr
        assert json.loads((home / "project.json").read_text())["embedded"] is True
        assert "Postgres keeps running" in result.stdout
        assert _tidings("doctor").exit_code == 0
        embedded_server(home).stop()
        assert "Tidings' own Postgres is not running. `tidings up` starts it." in _tidings("status").stderr
        assert "The Postgres server that Tidings brought stays" in _tidings("uninstall", "--yes").stdout
        assert not (home / "project.json").exists()
    finally:
        embedded_server(home).stop()


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("command", ["status", "doctor"])
def test_without_a_project_the_next_step_is_named(command: str) -> None:
    result = _tidings(command)
    assert result.exit_code == 1
    assert "Run `tidings init <DATABASE_URL>`" in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.usefixtures("home")
def test_a_mistake_in_an_option_is_named(url: str) -> None:
    assert "needs schema.table.column=kind" in _tidings("init", url, "--address", "email").stderr
    assert "Give all three of" in _tidings("init", url, "--reader-url", "postgresql://a@b/c").stderr
    assert _tidings("init", "--nonsense").exit_code == 2
    assert "No such command 'inti'" in _tidings("inti").stderr


@pytest.mark.usefixtures("home")
def test_without_an_address_that_a_channel_reaches_the_next_step_is_named(url: str) -> None:
    none = [f"--address=shop.{column}=none" for column in ("customers.email", "customers.slack_handle", "staff.email")]
    done = _tidings("init", url, "--yes", "--address=shop.customers.full_name=phone", *none)
    assert "No column with e-mail or Slack addresses was found" in done.stdout
    assert "`tidings contact add NAME ADDRESS`" in done.stdout


def test_help_lists_every_command_and_imports_none() -> None:
    program = (
        "import sys; from cli.main import main; main(['-h'], standalone_mode=False); print('psycopg' in sys.modules)"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.endswith("False\n")
    assert all(f"  {name} " in done.stdout for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_exists_and_has_help(name: str) -> None:
    result = _tidings(name, "--help")
    assert result.exit_code == 0
    assert "Usage: tidings" in result.stdout


def test_control_c_at_the_question_changes_nothing_and_exits_with_130(url: str, home: Path) -> None:
    before = snapshot(url)
    mine, theirs = pty.openpty()
    command = [sys.executable, "-c", "from cli.main import main; main()", "init", url]
    with subprocess.Popen(command, cwd=ROOT, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        shown = b""
        while b"[y/N]" not in shown:
            shown += os.read(mine, 4096)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=5) == 130
    os.close(mine)
    os.close(theirs)
    assert snapshot(url) == before
    assert not home.exists()
