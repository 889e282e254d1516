"""The canary and the watch, with real processes and real roles: silence is noticed also when everything is dead."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from runtime.engine.alarms import alarms, canary_state
from runtime.engine.canary import switch_on
from runtime.engine.reconcile import set_scene
from runtime.engine.repair import repair
from runtime.ledger.database import Ledger
from runtime.postgres.server import PostgresServer
from runtime.source.reader import Source
from tests.faults.system import System, wait_for, whole_system

ALIVE = "SELECT count(*) FROM tidings.canary WHERE performed_at IS NOT NULL"
TIME_PASSES = (
    "UPDATE tidings.watch SET beat_at = beat_at - d, canary_since = canary_since - d"
    " FROM (SELECT interval '4 min' AS d) t;"
    "UPDATE tidings.canary SET written_at = written_at - d, performed_at = performed_at - d"
    " FROM (SELECT interval '4 min' AS d) t"
)


@pytest.fixture
def system(server: PostgresServer, tmp_path: Path) -> Iterator[System]:
    with whole_system(server, tmp_path / "home") as system:
        switch_on(system.settings.installer_url, 1)
        yield system


def codes(system: System) -> list[str]:
    with psycopg.connect(system.settings.ledger_url, autocommit=True) as conn:
        return [alarm.code for alarm in alarms(conn, 1, datetime.now(UTC))]


def reconciled(system: System) -> dict[str, Any]:
    command = [sys.executable, "-m", "cli", "reconcile", "--json"]
    done = subprocess.run(command, env={**os.environ, **system.environment}, capture_output=True, check=False)
    found: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == (1 if found["missing"] else 0), done.stderr
    return found


def test_a_canary_comes_through_and_is_missed_when_everything_is_dead(system: System) -> None:
    assert codes(system) == ["no_leader"]
    system.start("dispatch", "worker")
    system.ship(1, 5)
    wait_for(lambda: system.ledger_says(ALIVE) == 1, lambda: "no canary came through")
    system.check(1, 5)
    assert codes(system) == []
    with psycopg.connect(system.settings.ledger_url, autocommit=True) as conn:
        assert canary_state(conn, 1).took is not None
    found = reconciled(system)
    assert found["missing"] == 0
    assert ("messages", 5, 5) in {(seam["stage"], seam["seen"], seam["through"]) for seam in found["seams"]}
    system.kill()
    system.do(TIME_PASSES)
    assert codes(system) == ["no_leader", "canary_late"]
    system.start("dispatch-2", "worker-2")
    wait_for(lambda: codes(system) == [], lambda: f"still {codes(system)}")
    assert system.ledger_says(ALIVE) == 2
    assert system.ledger_says("SELECT count(*) FROM tidings.run") == 5


def test_a_leader_without_workers_is_alive_and_the_canary_says_what_is_missing(system: System) -> None:
    system.start("dispatch")
    claimed = "SELECT count(*) FROM tidings.canary WHERE claimed_at IS NOT NULL"
    wait_for(lambda: system.ledger_says(claimed) == 1, lambda: "no canary was claimed")
    system.do(TIME_PASSES)
    system.do("UPDATE tidings.work SET due_at = due_at - interval '4 min'")
    wait_for(lambda: "canary_late" in codes(system), lambda: f"only {codes(system)}")
    assert "workers_absent" in codes(system)
    assert reconciled(system)["missing"] == 0


def test_a_repair_has_the_rights_it_needs(system: System) -> None:
    system.start("dispatch", "worker")
    wait_for(lambda: system.ledger_says(ALIVE) == 1, lambda: "no canary came through")
    system.do(
        "SET session_replication_role = replica;"
        "INSERT INTO shop.orders (id, customer_id, status, total_cents, placed_at) VALUES (1, 1, 'shipped', 1, now());"
        "INSERT INTO tidings.outbox_key (hook_id, generation, op, key, error, captured_at)"
        " SELECT id, generation, 'i', '{\"id\": 1}', 'x', now() FROM tidings.hook WHERE relation = 'shop.orders';"
        "UPDATE tidings.outbox_key SET captured_at = now() - interval '1 s'"
    )
    with Ledger(system.settings.ledger_url) as ledger, Source(system.settings.reader_url) as source:
        scene = set_scene(ledger, source, begin=datetime.now(UTC) - timedelta(hours=1))
        done = repair(scene, by="test")
    assert (done.runs_started, done.keys_settled) == (1, 1)
    wait_for(lambda: len(system.far_end.mails) == 1, lambda: "nothing was accepted")
    system.check(1, 1)
