"""A whole system under trade: rows are written, the far ends misbehave, processes die, and the checker judges."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import yaml

from runtime.clock import VirtualClock
from runtime.postgres.server import PostgresServer
from tests.faults.books import read_books, what_is_left
from tests.faults.checker import Findings, check
from tests.faults.history import History
from tests.faults.system import System, publish_as_a_person, wait_for, whole_system
from tests.faults.trader import PEOPLE, Trader

_FOLDER = Path(__file__).parent
_SOON = timedelta(minutes=5)
PAPERS = """
workflow: paper-round
about: E-mails each person whose paper is due in the latest round.
trigger:
  schedule: "{minute} {hour} {day} {month} *"
  each: >
    SELECT a.id, a.version, p.email FROM trade.papers a JOIN trade.people p ON p.id = a.person
    WHERE a.version = (SELECT max(r.number) FROM trade.rounds r) ORDER BY a.id
  key: [id]
steps:
  - send: tell
    to: SELECT p.id AS key, p.email FROM trade.people p JOIN trade.papers a ON a.person = p.id WHERE a.id = item.id
    channels: [email]
    texts: [{{subject: "paper-round {{{{ item.id }}}} {{{{ item.version }}}}", body: It is due.}}]
"""
_HURRY = """
UPDATE tidings.work SET due_at = least(due_at, clock_timestamp()), nudged_at = NULL;
UPDATE tidings.work SET lease_until = clock_timestamp() - interval '1 second' WHERE lease_until > clock_timestamp();
UPDATE tidings.provider_pause SET until = clock_timestamp() - interval '1 second';
"""


@dataclass
class Market:
    """The system, who writes its tables, and what is known of both."""

    system: System
    trader: Trader
    history: History
    rounds: int = 0

    def start(self, *names: str, **how: Any) -> None:
        """Start processes, and write it down."""
        self.system.start(*names, **how)
        self.history.write("started", names=names, how={name: str(value) for name, value in how.items()})

    def kill(self, *names: str) -> None:
        """Kill processes, or all of them, and write it down."""
        self.history.write("killed", names=names or list(self.system.processes))
        self.system.kill(*names)

    def deliver_papers(self, count: int = 3) -> None:
        """Let the schedule's one slot come once more, with papers that are due in it."""
        self.rounds += 1
        papers = [
            {"id": self.rounds * 100 + number, "person": 1 + number % PEOPLE, "version": self.rounds}
            for number in range(count)
        ]
        with psycopg.connect(self.system.url) as conn:
            conn.execute("INSERT INTO trade.rounds VALUES (%s)", (self.rounds,))
            conn.cursor().executemany("INSERT INTO trade.papers VALUES (%(id)s, %(person)s, %(version)s)", papers)
            conn.execute("DELETE FROM tidings.slot")
        self.history.write("round", papers=papers)

    def hurry(self) -> None:
        """Let the time pass for which a lease, a retry or a provider's pause lasts."""
        self.system.do(_HURRY)

    def doubt_nudges(self) -> None:
        """Let the time pass for which the sweeper trusts that a nudge has arrived."""
        self.system.do("UPDATE tidings.work SET nudged_at = NULL")

    def claimed(self) -> None:
        """Wait until every change has been claimed."""
        left = "SELECT count(*) FROM tidings.outbox"
        wait_for(lambda: self.system.ledger_says(left) == 0, lambda: "not every change was claimed")

    def settle(self, *, patience: float = 30.0) -> None:
        """Wait until nothing is left to do, and the schedule's slot, where there is one, has come."""
        with psycopg.connect(self.system.url, autocommit=True) as conn:

            def done() -> bool:
                slots = conn.execute("SELECT count(*) FROM tidings.slot").fetchone()
                return bool(slots and slots[0] >= min(self.rounds, 1)) and what_is_left(conn) == 0

            wait_for(
                done,
                lambda: f"{what_is_left(conn)} changes, runs or pieces of work are left, see {self.system.log}",
                patience=patience,
            )

    def findings(self, *, bound: float = float("inf")) -> Findings:
        """Judge everything that has happened so far."""
        return check(list(self.history), read_books(self.system.url), bound=bound)

    def judge(self, *, bound: float = 60.0) -> Findings:
        """Settle, and fail if anything is wrong or was not sent."""
        self.settle()
        findings = self.findings(bound=bound)
        assert findings.clean, f"{findings}\nThe history is in {self.history.path}"
        assert not set(findings.known.values()) - {"uncertain: interrupted", "uncertain: unanswered"}, str(findings)
        return findings


@contextmanager
def market(
    server: PostgresServer,
    home: Path,
    *,
    seed: int = 1,
    papers: bool = False,
    broker_url: str = "",
    name: str = "market",
) -> Iterator[Market]:
    """Yield a market with every workflow live and no process yet."""
    tables = (_FOLDER / "trade.sql").read_text()
    specs = [yaml.safe_dump(spec) for spec in yaml.safe_load((_FOLDER / "workflows.yaml").read_text())]
    with (
        whole_system(server, home, broker_url=broker_url, tables=tables, specs=specs, name=name) as system,
        History(home / "history.jsonl") as history,
        Trader(system.url, history, seed=seed) as trader,
    ):
        system.far_end.witness = history.accepted
        system.slack.witness = history.accepted
        system.do("UPDATE tidings.project SET brake_per_hour = 0")  # what is written here is a flood on purpose
        if papers:
            publish_papers(system)
        yield Market(system, trader, history)


def publish_papers(system: System) -> None:
    """Publish a schedule whose only slot for a year was a few minutes ago, and came while it was live."""
    slot = datetime.now(UTC) - _SOON
    spec = PAPERS.format(minute=slot.minute, hour=slot.hour, day=slot.day, month=slot.month)
    publish_as_a_person(system.settings, spec, clock=VirtualClock(slot - _SOON))
