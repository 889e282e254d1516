"""Processes are killed at the worst moments; afterwards everything owed was accepted once, and nothing twice."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.postgres.server import PostgresServer
from tests.faults.system import System, locked, wait_for, waits_for_lock, whole_system
from tests.servers.far_end import hang
from tests.servers.smtp import SmtpServer


@pytest.fixture
def system(server: PostgresServer, tmp_path: Path) -> Iterator[System]:
    with whole_system(server, tmp_path / "home") as system:
        yield system


def test_a_worker_dies_between_the_providers_acceptance_and_our_commit(system: System) -> None:
    system.far_end.misbehave(hang(takes=True))
    system.start("dispatch", "worker")
    system.ship(1, 30)
    wait_for(lambda: len(system.far_end.mails) > 0, lambda: "nothing was accepted")
    system.kill("worker")
    system.far_end.release()
    assert system.ledger_says("SELECT count(*) FROM tidings.delivery_batch WHERE state = 'sending'") >= 1
    system.let_leases_run_out()
    system.start("worker-2")
    system.check(1, 30)


def test_the_leader_dies_between_claim_and_commit(system: System) -> None:
    with locked(system.url, "tidings.work"):
        system.start("dispatch")
        system.ship(1, 20)
        wait_for(lambda: waits_for_lock(system, "ledger"), lambda: "the leader does not wait in its claim")
        system.kill("dispatch")
    assert system.ledger_says("SELECT count(*) FROM tidings.outbox") == 20
    assert system.ledger_says("SELECT count(*) FROM tidings.run") == 0
    system.start("dispatch-2", "worker")
    system.check(1, 20)


def test_a_standby_takes_over_from_a_leader_that_dies(system: System) -> None:
    system.start("dispatch", "worker")
    system.ship(1, 5)
    wait_for(lambda: len(system.far_end.mails) == 5, lambda: "the first leader does nothing")
    system.start("dispatch-2")
    system.kill("dispatch")
    system.ship(6, 10)
    system.check(1, 10)


def test_everything_is_killed_at_once_while_rows_are_written(system: System) -> None:
    system.start("dispatch", "worker", "worker-2")
    system.ship(1, 100)
    wait_for(lambda: len(system.far_end.mails) > 0, lambda: "nothing was accepted")
    system.kill()
    system.ship(101, 150)
    system.let_leases_run_out()
    system.start("dispatch", "worker", "worker-2")
    system.check(1, 150)


def test_the_broker_is_wiped(system: System) -> None:
    system.start("dispatch")
    system.ship(1, 40)
    wait_for(lambda: system.ledger_says("SELECT count(*) FROM tidings.run") == 40, lambda: "not everything was claimed")
    system.do("TRUNCATE tidings.dramatiq_queue")
    system.do("UPDATE tidings.work SET nudged_at = NULL")
    system.start("worker")
    system.check(1, 40)


def test_two_workers_with_the_same_nudges_do_the_work_once(system: System) -> None:
    system.start("dispatch", "worker", "worker-2")
    system.ship(1, 20)
    system.do(
        "INSERT INTO tidings.dramatiq_queue (message_id, queue_name, state, message)"
        " SELECT gen_random_uuid(), queue_name, 'queued', message FROM tidings.dramatiq_queue"
    )
    system.check(1, 20)


def test_postgres_is_restarted_under_everything(system: System, server: PostgresServer) -> None:
    system.start("dispatch", "worker")
    system.ship(1, 20)
    wait_for(lambda: len(system.far_end.mails) > 0, lambda: "nothing was accepted")
    server.stop()
    server.start()
    system.ship(21, 40)
    system.let_leases_run_out()
    system.check(1, 40)
    assert [process.poll() for process in system.processes.values()] == [None, None]


@pytest.mark.parametrize("side", ["before", "after"])
def test_a_worker_dies_while_it_hands_a_mail_to_a_mail_server(system: System, side: str) -> None:
    with SmtpServer() as mail_server:
        by_mail = {"RESEND_API_KEY": "", "TIDINGS_SMTP_URL": f"smtp://127.0.0.1:{mail_server.port}"}
        point = f"runtime.delivery.smtp_provider.SmtpProvider._hand_over:call:{side}"
        system.start("dispatch")
        system.start("worker", options=["--at", point, "--turn", "4"], environment=by_mail)
        system.ship(1, 20)
        system.dies("worker")
        system.let_leases_run_out()
        system.start("worker-2", environment=by_mail)
        left = "SELECT count(*) FROM tidings.outbox UNION ALL SELECT count(*) FROM tidings.work ORDER BY 1 DESC LIMIT 1"
        wait_for(lambda: system.ledger_says(left) == 0, lambda: "something is left over")
        counts = Counter(str(mail.message["subject"]) for mail in mail_server.accepted)
    doubtful = system.ledger_says("SELECT count(*) FROM tidings.message_status WHERE status = 'uncertain'")
    assert set(counts.values()) == {1}, "a mail server takes a mail as often as it gets it, so it gets it once"
    assert 1 <= doubtful <= 4, "each thread may have had one in hand"
    assert 20 - doubtful <= counts.total() <= 20
    assert system.ledger_says("SELECT count(*) FROM tidings.message_status WHERE status = 'sent'") == 20 - doubtful
