"""`tidings pause`, `resume` and `brake`: anybody stops, only a person lets go on, and everybody sees it."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from psycopg import Connection

from cli.main import main
from cli.person import person_name
from runtime.clock import VirtualClock
from runtime.engine.drain import drain
from runtime.ledger.database import Ledger
from runtime.source.reader import Source
from tests.engine_runs import Shop
from tests.publishing import spec
from tests.terminal import at_terminal
from tests.tool_clients import connected, write_home

pytestmark = pytest.mark.usefixtures("approved")
SHIP = "UPDATE shop.orders SET status = 'shipped' WHERE id = {}"


@pytest.fixture
def home(tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = write_home(tmp_path, database)
    monkeypatch.setenv("TIDINGS_HOME", str(home))
    return home


@pytest.fixture
def shop(  # noqa: PLR0917  # fixtures come by position
    app: Connection[Any],
    ledger: Ledger,
    source: Source,
    database: str,
    clock: VirtualClock,
    home: Path,  # noqa: ARG001  # the project has to be there
) -> Shop:
    shop = Shop.furnished(app, ledger, source, database, clock)
    shop.publish(spec())
    return shop


def _tidings(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def _json(*arguments: str) -> Any:
    result = _tidings(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_a_pause_is_shown_everywhere(shop: Shop, home: Path) -> None:
    assert _tidings("pause", "shipped", "--reason", "a wrong text").output.endswith("shipped is paused.\n")
    line = f"by {person_name()}: a wrong text. `tidings resume shipped` goes on."
    assert line in _tidings("pause", "shipped").output
    shop.write(SHIP.format(1))
    assert shop.inbox() == []
    assert line in _tidings("status").output
    assert line in _tidings("workflows").output
    assert line in _tidings("why", "--run", "1").output
    (pause,) = _json("status")["pauses"]
    expected = {"workflow": "shipped", "kind": "person", "by": person_name(), "why": "a wrong text"}
    assert pause == {**expected, "at": pause["at"]}
    assert _json("workflows")[0]["pause"]["why"] == "a wrong text"
    with connected("memory", home) as tools:
        status = tools.call("get_status").data
        assert line in status["pauses"][0]
        assert "only they can resume it" in status["next_step"]
        assert line in tools.call("list_workflows", state="paused").data["workflows"][0]["pause"]


def test_a_pause_of_everything_is_shown_everywhere(shop: Shop, home: Path) -> None:
    assert _tidings("pause").output.endswith("Everything is paused.\n")
    assert "Everything is paused since" in _tidings("status").output
    assert _json("workflows")[0]["state"] == "paused"
    shop.write(SHIP.format(1))
    assert "Run 1 rests in step tell: Everything is paused since" in _tidings("why", "1@x.test").output
    with connected("memory", home) as tools:
        assert "everything is paused" in tools.call("get_status").data["summary"]


def test_only_a_person_resumes_after_seeing_what_waits(shop: Shop) -> None:
    assert "shipped is not paused by itself." in at_terminal("resume", "shipped").output
    assert "Not everything is paused." in at_terminal("resume").output
    _tidings("pause", "shipped")
    shop.write(SHIP.format(1))
    for more in ((), ("--yes",), ("--discard", "--yes")):
        refused = _tidings("resume", "shipped", *more)
        assert refused.exit_code == 1
        assert "needs a person at an interactive terminal" in refused.stderr
    waits = _json("resume", "shipped")
    assert (waits["runs"], waits["messages"]) == (1, 0)
    assert waits["paused_by"] == person_name()
    said = at_terminal("resume", "shipped", answers=["n"])
    assert said.code == 1
    assert "Runs          1 wait; they ask afresh whom they tell" in said.output
    assert shop.inbox() == []
    assert at_terminal("resume", "shipped", answers=["y"]).code == 0
    drain(shop.engine)
    assert shop.inbox() == [("1@x.test", "Order 1")]


def test_what_waits_is_discarded_when_a_person_says_so(shop: Shop) -> None:
    _tidings("pause")
    shop.write(SHIP.format(1))
    said = at_terminal("resume", "--discard", "--yes", "--reason", "a mistake")
    assert said.code == 0
    assert "1 run(s) and 0 message(s) that waited were discarded." in said.output
    drain(shop.engine)
    assert shop.inbox() == []
    assert f"because it was discarded by {person_name()} (a mistake)." in _tidings("why", "1@x.test").output


def test_only_a_person_changes_a_brake(shop: Shop) -> None:
    shop.app.execute("UPDATE tidings.project SET brake_per_hour = DEFAULT")
    assert "needs a person" in _tidings("brake", "shipped", "--per-hour", "5").stderr
    assert _json("brake") == [
        {"workflow": "", "per_hour": 2000, "own": False, "told": None},
        {"workflow": "shipped", "per_hour": 2000, "own": False, "told": 0},
    ]
    assert at_terminal("brake", "shipped", "--per-hour", "20,000", answers=["n"]).code == 1
    said = at_terminal("brake", "shipped", "--per-hour", "20,000", answers=["y"])
    assert "shipped: 20,000 people an hour" in said.output
    assert "shipped: no brake" in at_terminal("brake", "shipped", "--per-hour", "off", "--yes").output
    assert "as the project says" in at_terminal("brake", "shipped", "--per-hour", "default", "--yes").output
    assert at_terminal("brake", "--per-hour", "500", answers=["y"]).code == 0
    assert [one["per_hour"] for one in _json("brake")] == [500, 500]
    assert at_terminal("brake", "--per-hour", "many").code == 2
    assert at_terminal("brake", "--per-hour", "default").code == 2
    assert "No workflow is called 'shiped'" in _tidings("brake", "shiped").stderr
