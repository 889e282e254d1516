"""The commands for health, metrics, retention, erasure and misses, as a person or a script runs them."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from prometheus_client.parser import text_string_to_metric_families
from psycopg import Connection

from cli.main import main
from cli.person import person_name
from runtime.clock import VirtualClock
from runtime.console.desk import metrics_token
from runtime.ledger.database import Ledger
from runtime.source.reader import Source
from tests.engine_runs import Shop
from tests.hooks import hook
from tests.publishing import spec
from tests.terminal import at_terminal
from tests.tool_clients import TOKEN, write_home

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


def _tidings(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def test_status_says_what_is_wrong_and_gives_programs_all_figures(shop: Shop) -> None:
    assert "Health        green" in _tidings("status").stdout
    shop.publish(spec())
    shop.app.execute("SELECT nextval('tidings.missed_1')")
    said = _tidings("status").stdout
    assert "Health        red\n" in said
    assert "1 changed row(s) of shop.orders were missed, not even their keys are known." in said
    health = json.loads(_tidings("status", "--json").stdout)["health"]
    assert {concern["code"] for concern in health["concerns"]} == {"missed", "no_leader"}
    assert health["capture"]["missed"] == 1
    assert health["leader"] is False


def test_metrics_are_printed_and_so_is_what_reads_them(shop: Shop) -> None:
    shop.publish(spec())
    names = {family.name for family in text_string_to_metric_families(_tidings("metrics").stdout)}
    assert {"tidings_health", "tidings_messages_sent", "tidings_changes_missed"} <= names
    config = _tidings("metrics", "--config").stdout
    assert f"credentials: {metrics_token(TOKEN)}" in config
    assert TOKEN not in config
    assert 'targets: ["127.0.0.1:8710"]' in config


def test_a_miss_is_acknowledged_once_with_a_name_and_a_note(shop: Shop) -> None:
    hook(shop.app, "shop.staff")
    assert "Nothing was missed that nobody has seen." in _tidings("acknowledge").stdout
    shop.app.execute("SELECT nextval('tidings.missed_1') FROM generate_series(1, 3)")
    refused = _tidings("acknowledge")
    assert refused.exit_code == 1
    assert "shop.staff: 3 missed, not even their keys are known" in refused.stdout
    assert "Run it again with --yes" in refused.stderr
    assert "Did you mean 'shop.staff'?" in _tidings("acknowledge", "shop.staf").stderr
    said = at_terminal("acknowledge", "shop.staff", "--note", "seen by all", answers=["y"])
    assert (said.code, "Acknowledged." in said.output) == (0, True)
    (before,) = json.loads(_tidings("acknowledge", "--list", "--json").stdout)
    assert (before["missed"], before["by"], before["note"]) == (3, person_name(), "seen by all")
    assert "shop.staff: 3 missed, 0 by key only" in _tidings("acknowledge", "--list").stdout
    assert json.loads(_tidings("acknowledge", "--yes", "--json").stdout) == []


def test_only_a_person_changes_for_how_long_things_are_kept(shop: Shop) -> None:
    assert json.loads(_tidings("retention", "--json").stdout) == {"payloads": 30, "messages": 90, "counts": 400}
    refused = _tidings("retention", "--payloads", "7")
    assert "needs a person at an interactive terminal" in refused.stderr
    said = at_terminal("retention", "--payloads", "7", "--messages", "60", answers=["y"])
    assert said.code == 0
    assert "can't be brought back: payloads, messages." in said.output
    assert "payloads      7 days" in _tidings("retention").stdout
    odd = at_terminal("retention", "--messages", "3", answers=["y"])
    assert (odd.code, "Not 7, 3 and 400 days" in odd.output) == (1, True)
    kept = shop.rows("SELECT extract(day FROM keep_messages)::int AS days FROM tidings.project")
    assert kept == [{"days": 60}]


def test_forgetting_shows_first_asks_then_and_leaves_the_tables_alone(shop: Shop) -> None:
    shop.publish(spec())
    shop.write("UPDATE shop.orders SET status = 'shipped'")
    shop.app.execute("INSERT INTO tidings.suppression VALUES (1, '1@x.test', 'news', 'unsubscribed', '', now())")
    dry = _tidings("forget", "1@x.test", "--dry-run")
    assert "Known of 1@x.test, or naming it:\n  1 captured changes\n  1 requests to providers" in dry.stdout
    assert "On the suppression list, topic news, unsubscribed: it stays" in dry.stdout
    refused = _tidings("forget", "1@x.test")
    assert "Run it again with --yes" in refused.stderr
    assert len(shop.inbox()) == 3
    said = at_terminal("forget", "1@X.test", answers=["y"])
    assert (said.code, "It is recorded that, not whose." in said.output) == (0, True)
    assert [who for who, _ in shop.inbox()] == ["2@x.test", "3@x.test"]
    assert "Nothing is known of 1@x.test." in _tidings("forget", "1@x.test").stdout
    done = json.loads(_tidings("forget", "2@x.test", "--yes", "--json").stdout)
    assert (done["found"]["message"], done["erased"]["message"], done["under_way"]["message"]) == (1, 1, 0)
    assert "is no e-mail address" in _tidings("forget", "a@b").stderr
    assert shop.rows("SELECT count(email) AS n FROM shop.customers") == [{"n": 3}]
