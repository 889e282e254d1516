"""What the protocol's own judges say: about our class with the suite's fixtures, and about the product."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from runtime.ledger.migrate import migrate
from runtime.postgres.server import PostgresServer
from tests.conformance.judges import HERE, NODE, conformance, inspect, serving
from tests.fresh_database import fresh_database
from tests.tool_clients import write_home
from tools.scopes import NEEDS

REVISIONS = ("2025-11-25", "2026-07-28")
ERAS = ("legacy", "modern")
pytestmark = [pytest.mark.services, pytest.mark.usefixtures("installed")]


@pytest.fixture(scope="module")
def installed() -> None:
    assert NODE.exists(), "The judges are not installed: run tests/conformance/run.sh."


@pytest.fixture(scope="module")
def fixtures() -> Iterator[str]:
    with serving("fixtures") as url:
        yield url


@pytest.fixture(scope="module")
def home(server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with fresh_database(server, "judged") as url, psycopg.connect(url, autocommit=True) as conn:
        migrate(conn)
        conn.execute(
            "INSERT INTO tidings.project (id, name, system_identifier, database_name, secret)"
            " SELECT 1, 'judged', system_identifier::text, current_database(), '\\x01' FROM pg_control_system()"
        )
        yield write_home(tmp_path_factory.mktemp("judged"), url)


@pytest.fixture(scope="module")
def product(home: Path) -> Iterator[str]:
    with serving("product", str(home)) as url:
        yield url


@pytest.mark.parametrize("revision", REVISIONS)
def test_our_class_does_all_that_a_revision_requires(fixtures: str, revision: str, tmp_path: Path) -> None:
    report = conformance(fixtures, revision, tmp_path)
    assert "tools-call-simple-text: 2 passed, 0 failed" in report


@pytest.mark.parametrize("revision", REVISIONS)
def test_the_product_fails_only_where_it_lacks_the_suites_fixtures(product: str, revision: str, tmp_path: Path) -> None:
    conformance(product, revision, tmp_path, baseline=HERE / f"baseline-{revision}.yml")


@pytest.mark.parametrize("era", ERAS)
def test_the_inspector_finds_nothing_in_the_schemas_over_http(product: str, era: str) -> None:
    _listed(inspect([product], "--transport", "http", "--method", "tools/list", "--strict", era=era))


@pytest.mark.parametrize("era", ERAS)
def test_the_inspector_finds_nothing_in_the_schemas_over_stdio(home: Path, era: str) -> None:
    command = [sys.executable, "-m", "cli", "mcp"]
    options = ("-e", f"TIDINGS_HOME={home}", "--method", "tools/list", "--strict")
    _listed(inspect(command, *options, era=era))


def _listed(printed: str) -> None:
    found = json.loads(printed[printed.index("{") : printed.rindex("}") + 1])
    names = [tool["name"] for tool in found.get("result", found)["tools"]]
    assert names == list(NEEDS)
    assert "Warning: tool" not in printed
