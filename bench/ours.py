"""Tidings as it is: a project set up by `init`, workflows published through the gate, real processes."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, LiteralString

import psycopg

from bench.peer import wait_until
from bench.sink import API_KEY
from bench.stage import ROOT, STATE
from runtime.errors import TidingsError
from runtime.ledger.database import Ledger
from runtime.publishing.approvals import decide, prepare_publish
from runtime.publishing.drafts import save_draft
from runtime.publishing.pausing import set_brake
from runtime.publishing.publish import publish
from runtime.publishing.reports import record_report
from runtime.settings import Settings, load_settings
from runtime.setup.prepare import apply, prepare
from runtime.source.reader import Source

WORKERS = 2
"""Worker processes: what `tidings up` starts."""
UNLIMITED: Mapping[str, str] = {"TIDINGS_RESEND_RATE": "0"}
"""Settings that lift what a real provider allows: here that would be all that is measured."""


@dataclass
class Project:
    """A project with live workflows; its processes end with the context."""

    url: str
    """The superuser's, and the application's."""
    settings: Settings
    environment: Mapping[str, str]
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, *, workers: int = WORKERS) -> None:
        """Start a dispatcher and workers, and wait until they listen."""
        for name in ("dispatch", *(f"worker-{number}" for number in range(workers))):
            command = [sys.executable, "-m", "cli", name.partition("-")[0], "--attached"]
            self.processes[name] = subprocess.Popen(
                command, stdin=subprocess.PIPE, process_group=0, env=dict(self.environment), cwd=ROOT
            )
        wait_until(lambda: bool(self.says(_LEADS)), "no dispatcher leads")

    def stop(self) -> None:
        """Let the processes end, as at the end of `tidings up`."""
        for process in self.processes.values():
            if process.stdin:
                with suppress(BrokenPipeError):
                    process.stdin.close()
        for process in self.processes.values():
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:  # what it has begun is not needed any more
                process.kill()
                process.wait()
        self.processes.clear()

    def says(self, question: str) -> Any:
        """Return the one value that a query gives, as superuser."""
        with psycopg.connect(self.url, autocommit=True) as conn:
            row = conn.execute(question.encode()).fetchone()
        return row[0] if row else None


_LEADS = """
SELECT count(*) > 0 FROM pg_locks l JOIN pg_database d ON d.oid = l.database
WHERE d.datname = current_database() AND l.locktype = 'advisory' AND l.granted
"""


@contextmanager
def project(
    url: str, *workflows: str, sink_url: str = "", broker_url: str = "", production: bool = True
) -> Iterator[Project]:
    """Yield a project on a database: in production mode with the sink as Resend, else everything goes to the inbox."""
    STATE.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f"home-{os.getpid()}-", dir=STATE, ignore_cleanup_errors=True) as home:
        apply(prepare(Path(home), url))
        environment = {
            **os.environ,
            **UNLIMITED,
            "TIDINGS_HOME": home,
            "TIDINGS_ENVIRONMENT": "development",
            "TIDINGS_SENDER": "Shop <shop@shop.test>",
            "TIDINGS_BROKER_URL": broker_url,
            "RESEND_API_KEY": API_KEY if sink_url else "",
            "RESEND_API_URL": sink_url,
        }
        settings = load_settings(Path(home), environment)
        _lift_limits(settings)
        with psycopg.connect(url, autocommit=True) as conn:
            conn.execute("UPDATE tidings.project SET mode = %s", ("production" if production else "inbox",))
        for spec in workflows:
            _publish(settings, spec)
        with psycopg.connect(url, autocommit=True) as conn:
            conn.execute("ANALYZE")
        mine = Project(url, settings, environment)
        try:
            yield mine
        finally:
            mine.stop()


def _lift_limits(settings: Settings) -> None:
    """Take away what a careful operator leaves in place: the brake on floods."""
    with Ledger(settings.ledger_url, settings.project_id) as ledger:
        set_brake(ledger, None, 0, by="bench")


def _publish(settings: Settings, spec: str) -> None:
    """Take a spec through the gate, its rehearsal taken as passed: it is not what is measured here."""
    with Ledger(settings.ledger_url, settings.project_id) as ledger, Source(settings.reader_url) as source:
        draft = save_draft(ledger, spec, author="bench")
        prepared = prepare_publish(ledger, source, draft.name, requested_by="bench")
        record_report(ledger, prepared.digest, passed=True, report={"scenarios": []})
        prepared = prepare_publish(ledger, source, draft.name, requested_by="bench")
        if prepared.approval_id is None:
            raise TidingsError(f"{draft.name} can't be published: {prepared.missing} {prepared.problems}")
        decide(ledger, prepared.approval_id, approve=True, by="bench", via="terminal")
        publish(ledger, source, settings.installer_url, draft.name, digest=prepared.digest)


class FirstSteps:
    """The runs whose first step stands in the ledger."""

    def __init__(self, url: str) -> None:
        self._conn = psycopg.connect(url, autocommit=True)

    def count(self) -> int:
        """Return how many there are; reads all of them."""
        return self._ask("SELECT count(*) FROM tidings.step_result WHERE project_id = 1 AND step = 0")

    def reached(self) -> int:
        """Return about how many there are: the newest one's number. Costs next to nothing."""
        return self._ask("SELECT coalesce(max(run_id), 0) FROM tidings.step_result WHERE project_id = 1")

    def close(self) -> None:
        """Close the connection."""
        self._conn.close()

    def _ask(self, question: LiteralString) -> int:
        row = self._conn.execute(question).fetchone()
        return int(row[0]) if row else 0
