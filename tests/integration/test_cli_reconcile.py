"""`tidings reconcile` and `tidings canary`, as a person and as a program use them."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from psycopg import Connection

from cli.main import main
from runtime.clock import SystemClock, VirtualClock
from runtime.engine.canary import write_canary
from runtime.engine.drain import drain
from runtime.engine.engine import Engine
from runtime.ledger.database import Ledger
from runtime.source.reader import Source
from tests.engine_runs import DELIVERY, Shop
from tests.publishing import SEND, spec
from tests.terminal import at_terminal
from tests.tool_clients import write_home

CUSTOMER = {
    **SEND,
    "to": "SELECT c.id AS key, c.email FROM shop.customers c WHERE c.id = new.id",
    "texts": [{"subject": "Hello {{ new.id }}", "body": "x"}],
}


@pytest.fixture
def shop(  # noqa: PLR0917  # fixtures come by position
    app: Connection[Any],
    approved: None,  # noqa: ARG001  # what the person approved comes first
    ledger: Ledger,
    source: Source,
    database: str,
    clock: VirtualClock,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Shop:
    """A shop in the present whose workflow has been live for months, and of which hooks missed two customers."""
    monkeypatch.setenv("TIDINGS_HOME", str(write_home(tmp_path, database)))
    shop = Shop.furnished(app, ledger, source, database, clock)
    shop.publish(spec("welcome", trigger={"change": "shop.customers", "ops": ["insert"]}, steps=[CUSTOMER]))
    shop.app.execute("UPDATE shop.customers SET created_at = '2026-05-01'")
    shop.app.execute("INSERT INTO shop.customers (id, email) VALUES (10, '10@x.test')")
    drain(present(shop))
    shop.app.execute("SET session_replication_role = replica")
    shop.app.execute("INSERT INTO shop.customers (id, email) VALUES (11, '11@x.test'), (12, '12@x.test')")
    shop.app.execute("SET session_replication_role = origin")
    return shop


def present(shop: Shop) -> Engine:
    return Engine(shop.engine.ledger, shop.engine.source, DELIVERY, clock=SystemClock())


def tidings(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


@pytest.mark.usefixtures("shop")
def test_what_is_missing_is_a_table_with_reasons_and_an_exit_code() -> None:
    said = tidings("reconcile")
    assert said.exit_code == 1
    lines = said.output.splitlines()
    assert lines[1].split() == ["in", "there", "missing", "recoverable", "unknown"]
    assert next(line.split() for line in lines if "rows → changes" in line and "welcome " in line) == [
        *("welcome", "rows", "→", "changes", "3", "1", "2", "2", "·")
    ]
    assert "Rows of shop.customers that, as they are now, should have started a run (by created_at)" in said.output
    assert '    {"id": 11}' in lines
    assert "no comparison can see" in said.output
    assert lines[-1] == "2 missing, 2 of them recoverable."


@pytest.mark.usefixtures("shop")
def test_programs_get_json_of_the_window_they_ask_for() -> None:
    said = tidings("reconcile", "welcome", "--since", "90m", "--json")
    assert said.exit_code == 1
    found = json.loads(said.stdout)
    assert (found["missing"], found["recoverable"], found["asked"]) == (2, 2, [])
    assert {seam["stage"] for seam in found["seams"]} == {"rows", "runs", "sends", "messages"}
    before = tidings("reconcile", "--from", "2026-07-01", "--to", "2026-07-02")
    assert (before.exit_code, before.output.splitlines()[-1]) == (0, "All is there.")


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--since", "soon"], "Write it like '30 minutes'"),
        (["--from", "2026-07-02", "--to", "2026-07-01"], "ends before it begins"),
        (["welcom"], "Did you mean 'welcome'?"),
        (["--repair"], "needs a person at an interactive terminal"),
        (["--ask-provider"], "Only Resend lists what it took"),
    ],
)
def test_what_can_not_be_done_is_said(arguments: list[str], complaint: str) -> None:
    said = tidings("reconcile", *arguments)
    assert said.exit_code == 1
    assert complaint in said.output


def test_a_person_brings_back_what_is_missing(shop: Shop) -> None:
    said = at_terminal("reconcile", "--repair", answers=["n"])
    assert said.code == 1
    assert "Nothing was changed." in said.output
    said = at_terminal("reconcile", "--repair", answers=["y"])
    assert "Bring back 2? People may be told late" in said.output
    assert said.output.splitlines()[-1] == "Repaired: 2 run(s) started."
    drain(present(shop))
    assert sorted(shop.inbox()) == [(f"{n}@x.test", f"Hello {n}") for n in (10, 11, 12)]
    said = at_terminal("reconcile", "--repair")
    assert (said.code, said.output.splitlines()[-2:]) == (0, ["All is there.", "There is nothing to repair."])


def test_the_canary_is_switched_and_tells_how_it_fares(shop: Shop) -> None:
    assert tidings("canary").output == "The canary is off.\n"
    assert tidings("canary", "on").output == "The canary is on; none has come through yet.\n"
    write_canary(shop.engine.ledger)
    drain(present(shop))
    assert "The last canary came through 0 s ago and took" in tidings("canary").output
    found = json.loads(tidings("canary", "--json").stdout)
    assert (found["on"], found["took"] > 0) == (True, True)
    assert tidings("workflows", "--json").output.count("canary") == 0
    assert tidings("canary", "off").output == "The canary is off.\n"
