"""`tidings runs`, and the one list of runs behind it, the console and the tools."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from psycopg import Connection

from cli.main import main
from runtime.clock import VirtualClock
from runtime.engine.listing import list_runs
from runtime.errors import NotFound
from runtime.ledger.database import Ledger
from runtime.source.reader import Source
from tests.engine_runs import Shop
from tests.publishing import SEND, spec
from tests.tool_clients import write_home

pytestmark = pytest.mark.usefixtures("approved")


@pytest.fixture
def shop(  # noqa: PLR0917  # fixtures come by position
    app: Connection[Any],
    ledger: Ledger,
    source: Source,
    database: str,
    clock: VirtualClock,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Shop:
    monkeypatch.setenv("TIDINGS_HOME", str(write_home(tmp_path, database)))
    return Shop.furnished(app, ledger, source, database, clock)


@pytest.fixture
def busy(shop: Shop, approved: None) -> None:  # noqa: ARG001  # what the person approved comes first
    """A run that is complete, one that waits, one that ended, and one of a schedule."""
    waiting = [{"wait": "settle", "for": "1 day"}, SEND]
    shop.publish(spec())
    shop.publish(spec("later", while_="live.status = 'shipped'", steps=waiting))
    shop.write("UPDATE shop.orders SET status = 'shipped' WHERE id IN (1, 2)")
    shop.write("UPDATE shop.orders SET status = 'refunded' WHERE id = 1")
    shop.pass_time(days=1)


def _tidings(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def test_nothing_ran_yet(shop: Shop) -> None:
    assert shop.runs() == []
    assert "Runs appear once" in _tidings("runs").output


@pytest.mark.usefixtures("busy")
def test_runs_are_listed_with_what_started_them_and_what_became_of_them() -> None:
    said = _tidings("runs").output
    assert "run 1  shipped, version 1  completed\n    shop.orders id = 1 at 2026-06-01 12:00:00 UTC\n    1 sent" in said
    ended = (
        "run 3  later, version 1  ended\n    shop.orders id = 1 at 2026-06-01 12:00:00 UTC\n    `while` no longer held"
    )
    assert ended in said
    assert _tidings("runs", "--limit", "2").output.count("run ") == 2


@pytest.mark.usefixtures("busy")
def test_programs_get_json_of_what_they_ask_for() -> None:
    found = json.loads(_tidings("runs", "--workflow", "later", "--state", "completed", "--json").stdout)
    assert len(found) == 1
    assert found[0]["key"] == {"id": 2}
    assert found[0]["messages"] == {"sent": 1}
    assert found[0]["at"] == "2026-06-01T12:00:00+00:00"
    assert json.loads(_tidings("runs", "--state", "failed", "--json").stdout) == []


@pytest.mark.usefixtures("busy")
def test_what_does_not_exist_is_said_with_what_does() -> None:
    refused = _tidings("runs", "--workflow", "latter")
    assert refused.exit_code == 1
    assert "No workflow is called 'latter'. Did you mean 'later'?" in refused.output
    assert "'done' is not one of 'active', 'waiting'" in _tidings("runs", "--state", "done").output


@pytest.mark.usefixtures("busy")
def test_the_list_goes_on_below_a_run(ledger: Ledger) -> None:
    whole = list_runs(ledger, limit=10)
    assert [run.id for run in whole] == sorted((run.id for run in whole), reverse=True)
    assert [*list_runs(ledger, limit=1), *list_runs(ledger, limit=10, before=whole[0].id)] == list(whole)
    with pytest.raises(NotFound):
        list_runs(ledger, workflow="nobody", limit=1)


def test_a_schedules_run_names_its_slot_and_its_item(shop: Shop) -> None:
    send = {**SEND, "to": "SELECT s.id AS key, s.email FROM shop.staff s WHERE s.id = item.id"}
    texts = [{"subject": "Morning", "body": "Hello {{ item.role }}."}]
    trigger = {"schedule": "0 8 * * *", "each": "SELECT s.id, s.role FROM shop.staff s", "key": ["id"]}
    shop.publish(spec("daily", trigger=trigger, steps=[{**send, "texts": texts}]))
    shop.pass_time(days=1)
    said = _tidings("runs").output
    assert "    slot of 2026-06-02 08:00:00 UTC, id = 1\n    1 sent" in said
    assert "warehouse" not in said
