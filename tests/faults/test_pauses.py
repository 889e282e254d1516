"""A pause in the middle of sending, and a flood, in real processes: nothing leaves, nothing is lost or doubled."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner

from cli.main import main
from runtime.postgres.server import PostgresServer
from tests.faults.system import PATIENCE, System, wait_for, whole_system
from tests.servers.far_end import slow
from tests.terminal import at_terminal

FLOOD = 1_500
_RESTS = "SELECT count(*) FROM tidings.work WHERE parked_for IS NULL"


@pytest.fixture
def system(server: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[System]:
    monkeypatch.setenv("TIDINGS_HOME", str(tmp_path / "home"))
    with whole_system(server, tmp_path / "home") as system:
        yield system


def _json(*arguments: str) -> Any:
    result = CliRunner().invoke(main, [*arguments, "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def _everything_rests(system: System, runs: int) -> None:
    wait_for(
        lambda: system.ledger_says("SELECT count(*) FROM tidings.run") == runs and system.ledger_says(_RESTS) == 0,
        lambda: (
            f"{system.ledger_says('SELECT count(*) FROM tidings.run')} runs, {system.ledger_says(_RESTS)} not parked"
        ),
    )


@pytest.mark.parametrize("what", [(), ("order-shipped",)])
def test_nothing_leaves_after_a_pause_and_everything_once_after_a_resume(system: System, what: tuple[str, ...]) -> None:
    system.start("dispatch", "worker", "worker-2")
    enough, shipped = threading.Event(), [0]

    def ship_on() -> None:
        while not enough.is_set():
            shipped[0] += 1
            system.ship(shipped[0], shipped[0])

    shipping = threading.Thread(target=ship_on)
    shipping.start()
    wait_for(lambda: len(system.far_end.mails) > 20, lambda: "nothing was accepted")
    paused = CliRunner().invoke(main, ["pause", *what, "--reason", "a wrong text"])
    begun, after = len(system.far_end.requests), shipped[0]
    assert paused.exit_code == 0, paused.output
    wait_for(lambda: shipped[0] > after + 20, lambda: "the application does not write")
    enough.set()
    shipping.join(PATIENCE)
    _everything_rests(system, shipped[0])
    system.kill("worker")
    system.start("worker-3")
    assert len(system.far_end.requests) == begun
    assert [pause["why"] for pause in _json("status")["pauses"]] == ["a wrong text"]
    waits = _json("resume", *what)
    assert waits["runs"] + waits["messages"] == shipped[0] - len(system.far_end.mails) >= 20
    assert at_terminal("resume", *what, answers=["y"]).code == 0
    system.check(1, shipped[0])


def test_a_pause_returns_when_what_was_on_its_way_has_arrived(system: System) -> None:
    gate = threading.Event()
    system.far_end.misbehave(slow(gate))
    system.start("dispatch", "worker")
    system.ship(1, 1)
    wait_for(lambda: len(system.far_end.requests) == 1, lambda: "no request was begun")
    pause = threading.Thread(target=CliRunner().invoke, args=(main, ["pause"]))
    pause.start()
    wait_for(lambda: system.ledger_says("SELECT paused_at IS NOT NULL FROM tidings.project"), lambda: "not paused")
    assert pause.is_alive()
    gate.set()
    pause.join(PATIENCE)
    assert len(system.far_end.mails) == 1
    wait_for(lambda: system.ledger_says("SELECT state FROM tidings.delivery_batch") == "sent", lambda: "not written")
    system.check(1, 1)


def test_a_flood_is_captured_and_stopped_by_the_brake_before_anything_leaves(system: System) -> None:
    system.do("UPDATE tidings.project SET brake_per_hour = 100")
    with psycopg.connect(system.url, autocommit=True) as app:
        app.execute(
            "INSERT INTO shop.orders (id, customer_id, status, total_cents, placed_at)"
            " SELECT n, 1, 'paid', 100, now() FROM generate_series(1, %s) n",
            [FLOOD],
        )
        system.start("dispatch", "worker", "worker-2")
        app.execute("UPDATE shop.orders SET status = 'shipped'")  # somebody forgot the WHERE
    _everything_rests(system, FLOOD)
    assert len(system.far_end.mails) <= 100
    (pause,) = _json("status")["pauses"]
    assert (pause["workflow"], pause["kind"]) == ("order-shipped", "burst")
    left = len(system.far_end.mails)
    assert at_terminal("resume", "order-shipped", "--discard", answers=["y"]).code == 0
    wait_for(lambda: system.ledger_says("SELECT count(*) FROM tidings.work") == 0, lambda: "work is left over")
    ended = system.ledger_says("SELECT count(*) FROM tidings.run WHERE reason = 'discarded'")
    unsent = system.ledger_says("SELECT count(*) FROM tidings.message_status WHERE reason = 'discarded'")
    assert (ended + unsent + left, len(system.far_end.mails)) == (FLOOD, left)
    system.ship(FLOOD + 1, FLOOD + 1)
    wait_for(lambda: len(system.far_end.mails) == left + 1, lambda: "the next order's mail does not come")
