"""`tidings draft` and `tidings chat`, with the roles that `tidings init` makes and a model that plays a script."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli.main import main
from runtime.postgres.server import PostgresServer
from tests.desk import ORDER_SHIPPED, REQUEST, asks, writes
from tests.fresh_database import fresh_database
from tests.servers.anthropic import KEY, MessagesServer, Says, Script, messages_server, refuses
from tests.terminal import at_terminal

PROMPT = "\r\n> "
GOOD = Says(writes(ORDER_SHIPPED))


@pytest.fixture(autouse=True)
def url(server: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A shop, and a project on it in a home of its own."""
    monkeypatch.setenv("TIDINGS_HOME", str(tmp_path / "home"))
    for name in ("DATABASE_URL", "ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    with fresh_database(server, "sentences") as url:
        assert tidings("init", url, "--yes").exit_code == 0
        yield url


@contextmanager
def model(monkeypatch: pytest.MonkeyPatch, *script: Script) -> Iterator[MessagesServer]:
    with messages_server(*script) as messages:
        monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
        monkeypatch.setenv("ANTHROPIC_BASE_URL", messages.url)
        yield messages
    assert messages.refused == []


def tidings(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def test_without_a_key_it_says_what_to_do_instead_and_exits_with_1() -> None:
    result = tidings("draft", REQUEST)
    assert result.exit_code == 1
    assert "connect a chat client by `tidings mcp`" in result.stderr
    assert "set ANTHROPIC_API_KEY" in result.stderr
    told = tidings("draft", REQUEST, "--json")
    assert told.exit_code == 1
    assert json.loads(told.stdout)["status"] == "unavailable"


def test_a_request_is_needed() -> None:
    result = tidings("draft")
    assert result.exit_code == 2
    assert "Say who shall hear what" in result.stderr


def test_a_sentence_becomes_a_draft_with_the_next_step(monkeypatch: pytest.MonkeyPatch) -> None:
    with model(monkeypatch, GOOD):
        result = tidings("draft", REQUEST)
        assert result.exit_code == 0, result.output
        assert "… Drafting" in result.stderr
        assert "When a row of shop.orders is inserted or updated so that status = 'shipped'" in result.stdout
        assert "Digest  " in result.stdout
        assert "Next: tidings approve order-shipped" in result.stdout
        assert "order-shipped" in tidings("workflows").stdout


def test_questions_come_back_with_the_way_to_answer_them(monkeypatch: pytest.MonkeyPatch) -> None:
    with model(monkeypatch, Says(asks("Which orders?")), Says(asks("Which language?"))) as messages:
        asked = json.loads(tidings("draft", REQUEST, "--json").stdout)
        assert (asked["status"], asked["questions"]) == ("needs_input", ["Which orders?"])
        again = tidings("draft", "--thread", asked["thread"])
        assert again.exit_code == 0
        assert "? Which orders?" in again.stdout
        assert f"Next: tidings draft --thread {asked['thread']} --answer" in again.stdout
        done = tidings("draft", "--thread", asked["thread"], "--answer", "All of them.", "--json")
        assert json.loads(done.stdout)["questions"] == ["Which language?"]
        assert "All of them." in messages.prompt()


def test_what_came_to_nothing_exits_with_1_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    misspelt = Says(writes(ORDER_SHIPPED.replace("c.full_name,", "c.fulname,")))
    with model(monkeypatch, refuses("Not that."), misspelt, misspelt, misspelt):
        result = tidings("draft", REQUEST)
        assert result.exit_code == 1
        assert "The model declined to write this (Not that.)" in result.stderr
        result = tidings("draft", REQUEST)
        assert result.exit_code == 1
        assert "✗ /steps/0/to  (unknown-column)" in result.stdout


def test_a_person_at_a_terminal_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    with model(monkeypatch, Says(asks("Which orders?")), refuses("Not those.")) as messages:
        said = at_terminal("draft", REQUEST, answers=["All of them."], question=PROMPT, seconds=90)
        assert said.code == 1
        assert "? Which orders?" in said.output
        assert "Not those." in said.output
        assert "All of them." in messages.prompt()


def test_a_conversation_goes_on_until_there_is_nothing_to_say(monkeypatch: pytest.MonkeyPatch) -> None:
    with model(monkeypatch, GOOD, refuses("Not that.")) as messages:
        said = at_terminal("chat", answers=[REQUEST, "Swear at them."], question=PROMPT, seconds=90)
        assert said.code == 1
        assert said.output.count("Next: tidings approve order-shipped") == 1
        assert "Swear at them." in messages.prompt()
        assert "Not that." in said.output
    assert tidings("chat").exit_code == 1
