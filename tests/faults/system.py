"""The whole system in real processes: a database with real roles, a dispatcher, workers, and Resend at the far end."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg import Connection

from runtime.clock import Clock
from runtime.ledger.database import Ledger
from runtime.postgres.server import PostgresServer
from runtime.publishing.approvals import decide, prepare_publish
from runtime.publishing.drafts import save_draft
from runtime.publishing.publish import publish
from runtime.publishing.reports import record_report
from runtime.settings import Settings, load_settings
from runtime.setup.prepare import apply, prepare
from runtime.source.reader import Source
from tests.faults.nursery import Child, Nursery
from tests.fresh_database import fresh_database
from tests.servers.resend import ResendServer
from tests.servers.slack import SlackServer

PATIENCE = 30.0
SHIPPED = """
workflow: order-shipped
about: E-mails the customer when an order becomes shipped.
trigger: {change: shop.orders, becomes: status = 'shipped'}
steps:
  - send: tell
    to: SELECT c.id AS key, c.email FROM shop.customers c WHERE c.id = new.customer_id
    channels: [email]
    texts: [{subject: "Order {{ new.id }} shipped", body: It left our warehouse.}]
"""


@dataclass
class System:
    """A project in production mode with processes that a test may kill."""

    url: str
    settings: Settings
    environment: Mapping[str, str]
    far_end: ResendServer
    slack: SlackServer
    nursery: Nursery
    processes: dict[str, subprocess.Popen[bytes] | Child] = field(default_factory=dict)

    @property
    def log(self) -> Path:
        """Where the processes write what they do."""
        return self.settings.home / "processes.log"

    def start(self, *names: str, options: Sequence[str] = (), environment: Mapping[str, str] | None = None) -> None:
        """Start `dispatch` or `worker` processes; a name such as worker-2 tells several apart.

        The options are those of tests.faults.crashing.
        """
        for name in names:
            command = [*options, "--", name.partition("-")[0], "--verbose"]
            self.processes[name] = self.nursery.start(command, {**self.environment, **(environment or {})}, self.log)

    def kill(self, *names: str) -> None:
        """Kill -9, at once; nothing is cleaned up."""
        for name in names or tuple(self.processes):
            process = self.processes.pop(name)
            process.send_signal(signal.SIGKILL)
            process.wait(PATIENCE)
            if process.stdin:
                process.stdin.close()

    def ship(self, first: int, last: int) -> None:
        """Let the application place and ship orders, each in a transaction of its own, by customer 1."""
        with psycopg.connect(self.url, autocommit=True) as app:
            for number in range(first, last + 1):
                app.execute(
                    "INSERT INTO shop.orders (id, customer_id, status, total_cents, placed_at)"
                    " VALUES (%s, 1, 'shipped', 100, now())",
                    (number,),
                )

    def dies(self, name: str) -> None:
        """Wait until a process has killed itself."""
        process = self.processes[name]
        wait_for(lambda: process.poll() is not None, lambda: f"{name} does not die")
        assert process.poll() == -signal.SIGKILL, f"{name} ended by itself, see {self.log}"
        del self.processes[name]

    def ledger_says(self, question: str) -> Any:
        """Return the one value that a query on the ledger gives, as superuser."""
        with psycopg.connect(self.url, autocommit=True) as conn:
            row = conn.execute(question).fetchone()
        return row[0] if row else None

    def do(self, statement: str) -> None:
        """Change the ledger as no process of ours would: wipe the broker, let a lease run out."""
        with psycopg.connect(self.url, autocommit=True) as conn:
            conn.execute(statement)

    def let_leases_run_out(self) -> None:
        """Let the time pass after which a dead worker's work is anybody's."""
        self.do(
            "UPDATE tidings.work SET nudged_at = NULL;"
            "UPDATE tidings.work SET lease_until = clock_timestamp() - interval '1 second'"
            " WHERE lease_until IS NOT NULL"
        )

    def accepted(self) -> dict[str, int]:
        """Return how often the far end took a mail, by subject."""
        counts: dict[str, int] = {}
        for mail in self.far_end.mails:
            counts[mail["subject"]] = counts.get(mail["subject"], 0) + 1
        return counts

    def check(self, first: int, last: int) -> None:
        """Check the books: everything owed was accepted exactly once, and the ledger knows it."""
        owed = {f"Order {number} shipped": 1 for number in range(first, last + 1)}
        wait_for(lambda: len(self.accepted()) >= len(owed), lambda: f"{len(self.accepted())} of {len(owed)} accepted")
        wait_for(lambda: self.ledger_says("SELECT count(*) FROM tidings.work") == 0, lambda: "work is left over")
        assert self.accepted() == owed
        statuses = self.ledger_says(
            "SELECT jsonb_object_agg(status, n) FROM (SELECT status, count(*) AS n"
            " FROM tidings.message_status GROUP BY status) s"
        )
        assert statuses == {"sent": len(owed)}
        assert self.ledger_says("SELECT count(*) FROM tidings.outbox") == 0
        assert self.ledger_says("SELECT count(*) FROM tidings.run WHERE state <> 'completed'") == 0


def wait_for(condition: Callable[[], bool], what: Callable[[], str], *, patience: float = PATIENCE) -> None:
    """Wait until a condition holds; fails with what is the case when patience is over."""
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, what()
        time.sleep(0.02)


@contextmanager
def whole_system(
    server: PostgresServer,
    home: Path,
    *,
    broker_url: str = "",
    tables: str = "",
    specs: Sequence[str] = (SHIPPED,),
    name: str = "faults",
) -> Iterator[System]:
    """Yield a system with live workflows and no process yet; whatever runs at the end is killed."""
    with ExitStack() as stack:
        url = stack.enter_context(fresh_database(server, name))
        far_end, slack = stack.enter_context(ResendServer()), stack.enter_context(SlackServer())
        with psycopg.connect(url, autocommit=True) as conn:
            conn.execute(tables.encode())
        apply(prepare(home, url))
        environment = {
            **os.environ,
            "TIDINGS_HOME": str(home),
            "RESEND_API_KEY": far_end.api_key,
            "RESEND_API_URL": far_end.url,
            "TIDINGS_RESEND_RATE": "0",
            "SLACK_BOT_TOKEN": slack.token,
            "SLACK_API_URL": slack.api_url,
            "TIDINGS_SENDER": "Shop <shop@shop.test>",
            "TIDINGS_WORKER_THREADS": "4",
            "TIDINGS_BROKER_URL": broker_url,
        }
        settings = load_settings(home, environment)
        with psycopg.connect(url, autocommit=True) as conn:
            conn.execute(
                "UPDATE tidings.project SET mode = 'production', brake_per_hour = 0;"
                "INSERT INTO shop.customers (id, email) VALUES (1, 'ana@shop.test');"
                "INSERT INTO tidings.contact (project_id, name, kind, address) VALUES (1, 'alerts', 'slack', '#alerts')"
            )
        for spec in specs:
            publish_as_a_person(settings, spec)
        system = System(url, settings, environment, far_end, slack, stack.enter_context(Nursery()))
        try:
            yield system
        finally:
            system.kill()


def publish_as_a_person(settings: Settings, spec: str, *, clock: Clock | None = None) -> None:
    """Take a spec through the gate as a person at a terminal would, its rehearsal taken as passed."""
    with Ledger(settings.ledger_url, settings.project_id) as ledger, Source(settings.reader_url) as source:
        draft = save_draft(ledger, spec, author="test")
        prepared = prepare_publish(ledger, source, draft.name, requested_by="test")
        record_report(ledger, prepared.digest, passed=True, report={"scenarios": []})
        prepared = prepare_publish(ledger, source, draft.name, requested_by="test")
        assert prepared.approval_id is not None, prepared.missing
        decide(ledger, prepared.approval_id, approve=True, by="test", via="terminal")
        publish(ledger, source, settings.installer_url, draft.name, digest=prepared.digest, clock=clock)


@contextmanager
def locked(url: str, table: str) -> Iterator[Connection[Any]]:
    """Hold a table locked, so that a process of ours stops in the middle of its transaction."""
    with psycopg.connect(url) as conn:
        conn.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        yield conn
        conn.rollback()


def waits_for_lock(system: System, role: str) -> bool:
    """Return whether a session of that role waits for a lock."""
    return bool(
        system.ledger_says(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND usename LIKE " + f"'%{role}'"
        )
    )
