"""Workers are killed in the middle of a send to thousands; afterwards each person got one mail."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.postgres.server import PostgresServer
from tests.faults.system import SHIPPED, System, locked, wait_for, waits_for_lock, whole_system
from tests.servers.far_end import hang

_PEOPLE = 3_000
_EVERYBODY = SHIPPED.replace(" WHERE c.id = new.customer_id", "")


@pytest.fixture
def system(server: PostgresServer, tmp_path: Path) -> Iterator[System]:
    assert _EVERYBODY != SHIPPED
    with whole_system(server, tmp_path / "home", specs=(_EVERYBODY,), name="crowds") as system:
        people = f"SELECT n, 'person' || n || '@shop.test' FROM generate_series(2, {_PEOPLE}) n"
        system.do(f"INSERT INTO shop.customers (id, email) {people}")
        yield system


def test_nobody_is_left_out_or_told_twice_whenever_a_worker_dies(system: System) -> None:
    with locked(system.url, "tidings.message"):
        system.start("dispatch", "worker")
        system.ship(1, 1)
        wait_for(lambda: waits_for_lock(system, "ledger"), lambda: "the worker does not wait while it writes messages")
        system.kill("worker")
    wait_for(lambda: not waits_for_lock(system, "ledger"), lambda: "what the worker began is still there")
    assert system.ledger_says("SELECT count(*) FROM tidings.message") == 0
    system.far_end.misbehave(hang(takes=True))
    system.let_leases_run_out()
    system.start("worker-2")
    wait_for(lambda: len(system.far_end.mails) >= 100, lambda: "nothing was accepted")
    system.kill("worker-2")
    system.far_end.release()
    assert system.ledger_says("SELECT count(*) FROM tidings.message") == _PEOPLE
    assert system.ledger_says("SELECT count(*) FROM tidings.delivery_batch WHERE state = 'sending'") >= 1
    system.let_leases_run_out()
    system.start("worker-3", "worker-4")
    wait_for(lambda: len(system.far_end.mails) >= _PEOPLE, lambda: f"only {len(system.far_end.mails)} were accepted")
    wait_for(lambda: system.ledger_says("SELECT count(*) FROM tidings.work") == 0, lambda: "work is left over")
    told = Counter(mail["to"][0] for mail in system.far_end.mails)
    assert len(told) == _PEOPLE
    assert set(told.values()) == {1}
    sent = "SELECT count(*) FROM tidings.message_status WHERE status = 'sent' AND provider_id <> ''"
    assert system.ledger_says(sent) == _PEOPLE
    assert system.ledger_says("SELECT state FROM tidings.run") == "completed"
