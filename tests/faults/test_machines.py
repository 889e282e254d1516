"""Workers and dispatchers on several machines, over RabbitMQ; machines vanish without a word."""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.faults.machines import Machine, machines, reachable_postgres
from tests.faults.system import System, locked, wait_for, waits_for_lock, whole_system
from tests.servers.rabbitmq import rabbitmq
from tests.servers.relay import relay

pytestmark = pytest.mark.services

_TAKEN_OVER_WITHIN = 5.0
_LEADER = (
    "SELECT host(a.client_addr) FROM pg_locks l JOIN pg_stat_activity a USING (pid)"
    " WHERE l.locktype = 'advisory' AND l.granted AND l.classid = (hashtext('tidings.leader')::int8 & 4294967295)::oid"
)


class Cluster:
    """The system, its processes spread over machines."""

    def __init__(self, system: System, broker_url: str, stack: ExitStack) -> None:
        self.system = system
        self._broker_url = broker_url
        self._stack = stack

    def start(self, machine: Machine, *names: str) -> None:
        """Start processes on a machine; what they need lies beyond the cable."""
        far_end = urlsplit(self.system.far_end.url)
        settings = self.system.settings
        environment = {
            **self.system.environment,
            "TIDINGS_LEDGER_URL": _at(settings.ledger_url, machine),
            "TIDINGS_READER_URL": _at(settings.reader_url, machine),
            "TIDINGS_BROKER_URL": self._broker(machine),
            "RESEND_API_URL": f"http://{machine.host}:{self._relay(machine, far_end.port)}",
        }
        for name in names:
            command = [sys.executable, "-m", "cli", name.partition("-")[0], "--attached"]
            self.system.processes[name] = subprocess.Popen(
                machine.inside(command), stdin=subprocess.PIPE, env=environment
            )

    def leader(self) -> str:
        """Return the address from which the leader came, empty when there is none."""
        return str(self.system.ledger_says(_LEADER) or "")

    def _broker(self, machine: Machine) -> str:
        if not self._broker_url:
            return ""
        port = self._relay(machine, urlsplit(self._broker_url).port)
        return f"amqp://guest:guest@{machine.host}:{port}/"

    def _relay(self, machine: Machine, port: int | None) -> int:
        assert port is not None
        return self._stack.enter_context(relay(port, at=machine.host))


def _at(url: str, machine: Machine) -> str:
    return re.sub(r"@[^/]+?:(\d+)/", rf"@{machine.host}:\1/", url)


@contextmanager
def _cluster(folder: Path, broker_url: str) -> Iterator[Cluster]:
    with (
        reachable_postgres(folder / "postgres") as server,
        ExitStack() as stack,
        whole_system(server, folder / "home", broker_url=broker_url) as system,
    ):
        yield Cluster(system, broker_url, stack)


def test_machines_share_the_work_over_rabbitmq_and_vanish_one_after_the_other(tmp_path: Path) -> None:
    (tmp_path / "rabbitmq").mkdir()
    with (
        machines(3) as (first, second, third),
        rabbitmq(tmp_path / "rabbitmq") as broker_url,
        _cluster(tmp_path, broker_url) as cluster,
    ):
        system = cluster.system
        cluster.start(first, "dispatch", "worker-1")
        wait_for(lambda: cluster.leader() == first.address, lambda: "nobody leads")
        cluster.start(second, "dispatch-2", "worker-2", "worker-3")
        cluster.start(third, "worker-4")
        system.ship(1, 100)
        wait_for(lambda: len(system.far_end.mails) == 100, lambda: f"{len(system.far_end.mails)} of 100 accepted")

        first.pull()
        pulled = time.monotonic()
        system.ship(101, 150)
        wait_for(lambda: cluster.leader() == second.address, lambda: "nobody took over")
        assert time.monotonic() - pulled <= _TAKEN_OVER_WITHIN
        wait_for(lambda: len(system.far_end.mails) == 150, lambda: f"{len(system.far_end.mails)} of 150 accepted")

        third.pull()
        system.let_leases_run_out()
        first.plug()
        system.check(1, 150)
        assert cluster.leader() == second.address


def test_a_machine_that_vanishes_in_the_middle_of_a_claim_keeps_nothing_locked(tmp_path: Path) -> None:
    with machines(2) as (first, second), _cluster(tmp_path, "") as cluster:
        system = cluster.system
        with locked(system.url, "tidings.work"):
            cluster.start(first, "dispatch")
            system.ship(1, 20)
            wait_for(lambda: waits_for_lock(system, "ledger"), lambda: "the leader does not wait in its claim")
            first.pull()
        cluster.start(second, "dispatch-2", "worker")
        system.check(1, 20)
