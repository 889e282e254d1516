import json
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner, Result

from cli.main import main
from runtime.ledger.database import Ledger
from runtime.postgres.server import PostgresServer
from runtime.publishing.reports import load_report
from runtime.rehearsal.scratch import scratch_server
from runtime.settings import SCRATCH_FOLDER, load_settings
from tests.fresh_database import fresh_database

SPEC = """
workflow: shipped
about: Tells the customer once when an order is shipped.
trigger: {change: shop.orders, becomes: status = 'shipped'}
steps:
  - send: tell
    to: SELECT c.id AS key, c.email FROM shop.customers c WHERE c.id = new.customer_id
    channels: [email]
    texts: [{subject: "Order {{ new.id }}", body: "It is on its way."}]
"""


@pytest.fixture
def home(server: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project in a home of its own."""
    monkeypatch.setenv("TIDINGS_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("DATABASE_URL", raising=False)
    with fresh_database(server, "tested") as url:
        assert _tidings("init", url, "--yes").exit_code == 0
        yield tmp_path / "home"
        assert _tidings("uninstall", url, "--yes").exit_code == 0
        assert not (tmp_path / "home").exists()


def _tidings(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_a_file_is_tested_by_the_roles_of_a_project_and_a_broken_one_is_refused(home: Path, tmp_path: Path) -> None:
    file, junit = tmp_path / "shipped.yaml", tmp_path / "report.xml"
    file.write_text(SPEC)
    result = _tidings("test", file, "--json", "--junit", junit)
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["passed"]
    assert {"an update into the state", "the change is rolled back"} <= {one["name"] for one in report["scenarios"]}
    assert "… an update into the state: passed" in result.stderr
    assert ET.parse(junit).getroot().get("failures") == "0"  # noqa: S314  # our own file
    with Ledger(load_settings().ledger_url) as ledger:
        stored = load_report(ledger, report["digest"])
    assert stored is not None
    assert stored.passed
    assert not PostgresServer(home / SCRATCH_FOLDER, scratch=True).running()

    file.write_text(SPEC.replace("WHERE c.id = new.customer_id", "WHERE c.id < 0 AND c.id > 0"))
    result = _tidings("test", file)
    assert result.exit_code == 1
    assert "✗ shipped: nobody would be told" in result.stdout

    file.write_text(SPEC.replace("c.email", "c.mail"))
    result = _tidings("test", file)
    assert result.exit_code == 1
    assert "unknown column 'mail'" in result.output


def test_the_scratch_server_runs_as_long_as_somebody_uses_it(tmp_path: Path) -> None:
    told: list[str] = []
    with scratch_server(tmp_path / "scratch", told.append) as first:
        with scratch_server(tmp_path / "scratch", told.append) as second:
            assert first.url == second.url
        assert first.running()
    assert not first.running()
    assert told == [f"Creating a Postgres server in {tmp_path / 'scratch'}", "Starting Postgres"]
    with scratch_server(tmp_path / "scratch", told.append) as again:
        assert again.running()
