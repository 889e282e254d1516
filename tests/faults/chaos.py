"""Chaos for as long as asked: rows are written, processes killed, everything breaks, and at the end the checker judges.

`make chaos MINUTES=10 SEED=7`. What is done follows from the seed, when it hits what from the machine.
"""

import argparse
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random

import psycopg

from runtime.postgres.server import PostgresServer
from tests.faults.books import what_is_left
from tests.faults.checker import Findings
from tests.faults.market import Market, market
from tests.servers import resend, slack
from tests.servers.far_end import Fault, close, garbage, hang, html, slow

_PROCESSES = ("dispatch-1", "dispatch-2", "worker-1", "worker-2")
_ILL = 0.15
"""How many requests the far ends mistreat."""
_SLOW = 0.4
_RESTORE = 300.0
"""Seconds within which everything is done, once all is well again."""
_LATE = 600.0
_LEASES_RUN_OUT = (
    "UPDATE tidings.work SET lease_until = clock_timestamp() - interval '1 second'"
    " WHERE lease_until > clock_timestamp()"
)


class Chaos:
    """One run."""

    def __init__(self, market: Market, server: PostgresServer, seed: int) -> None:
        self.market = market
        self._server = server
        self._random = Random(seed)  # noqa: S311  # repeatable
        self._numbers = Counter(dict.fromkeys(_PROCESSES, 0))
        self.faults: Counter[str] = Counter()
        self._calm = False

    def rage(self, minutes: float) -> None:
        """Write and break, and say every ten seconds how it goes."""
        self._treat_badly(self._random.randrange(10**6))
        for name in _PROCESSES:
            self._start(name)
        end, said = time.monotonic() + minutes * 60, time.monotonic()
        while (now := time.monotonic()) < end:
            burst = self._random.random() < 0.1
            self.market.trader.act(300 if burst else self._random.randint(5, 40))
            if self._random.random() < 0.25:
                self._break_something()
            time.sleep(self._random.random() * 0.4)
            self._replace_the_dead()
            if now - said >= 10:
                said = now
                self._say(end - now)

    def recover(self) -> None:
        """Let all be well, and wait until everything is done."""
        self._calm = True
        for far_end in (self.market.system.far_end, self.market.system.slack):
            far_end.mood = Fault
            far_end.release()
        self._replace_the_dead()
        end = time.monotonic() + _RESTORE
        while self._left() and time.monotonic() < end:
            time.sleep(0.5)
            self._replace_the_dead()

    def _start(self, name: str) -> None:
        self._numbers[name] += 1
        options = ["--impatient"]
        if self._random.randrange(3) == 0 and not self._calm:
            crash = self._random.choice(_CRASHES[name.partition("-")[0]])
            options += ["--at", crash, "--turn", str(self._random.randint(1, 30))]
        self.market.start(name, options=options)

    def _replace_the_dead(self) -> None:
        for name in _PROCESSES:
            process = self.market.system.processes.get(name)
            if process is None or process.poll() is not None:
                if process is not None:
                    self.market.history.write("died", process=name)
                    self.faults["died at a point"] += 1
                self._start(name)

    def _break_something(self) -> None:
        faults: dict[str, Callable[[], object]] = {
            "a process killed": lambda: self._kill(1),
            "all processes killed": lambda: self._kill(len(_PROCESSES)),
            "broker wiped": lambda: self.market.system.do("TRUNCATE tidings.dramatiq_queue"),
            "nudges doubled": self._double_nudges,
            "connections cut": self._cut_connections,
            "leases run out": lambda: self.market.system.do(_LEASES_RUN_OUT),
            "Postgres restarted": self._restart_postgres,
        }
        name = self._random.choices(list(faults), (8, 1, 3, 2, 2, 2, 1))[0]
        self.faults[name] += 1
        self.market.history.write("fault", fault=name)
        faults[name]()

    def _kill(self, count: int) -> None:
        for name in self._random.sample(_PROCESSES, count):
            if name in self.market.system.processes:
                self.market.kill(name)

    def _double_nudges(self) -> None:
        self.market.system.do(
            "INSERT INTO tidings.dramatiq_queue (message_id, queue_name, state, message)"
            " SELECT gen_random_uuid(), queue_name, 'queued', message FROM tidings.dramatiq_queue"
        )

    def _cut_connections(self) -> None:
        self.market.system.do(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid() AND random() < 0.5"
        )

    def _restart_postgres(self) -> None:
        """Restart it while the trader writes."""
        restarting = threading.Thread(target=self._stop_and_start)
        restarting.start()
        self.market.trader.act(20)
        restarting.join()

    def _stop_and_start(self) -> None:
        self._server.stop()
        self._server.start()

    def _treat_badly(self, seed: int) -> None:
        """Give both far ends moods of their own."""
        ill = Random(seed)  # noqa: S311
        mails: list[Callable[[], Fault]] = [
            html, close, hang, _late,
            lambda: close(takes=True), lambda: garbage(takes=True), lambda: hang(takes=True),
            lambda: resend.rate_limited(1), lambda: resend.refused(500, "application_error", takes=True),
        ]  # fmt: skip
        posts: list[Callable[[], Fault]] = [
            lambda: slack.rate_limited(1), lambda: close(takes=True), _late, close,
            lambda: slack.refused("internal_error", takes=True),
        ]  # fmt: skip
        lock = threading.Lock()

        def mood(choices: list[Callable[[], Fault]]) -> Callable[[], Fault]:
            def treat() -> Fault:
                with lock:
                    chosen = ill.choice(choices) if ill.random() < _ILL else Fault
                return chosen()

            return treat

        self.market.system.far_end.mood = mood(mails)
        self.market.system.slack.mood = mood(posts)

    def _left(self) -> int:
        try:
            with psycopg.connect(self.market.system.url, autocommit=True) as conn:
                return what_is_left(conn)
        except psycopg.OperationalError:
            return -1

    def _say(self, remaining: float) -> None:
        accepted = len(self.market.history.records("accepted"))
        say(f"{remaining:5.0f} s to go: {self.market.trader.rows_written:,} events, {accepted:,} messages, "
            f"{self._left():,} under way, faults {sum(self.faults.values())}")  # fmt: skip


_CRASHES = {
    process: [
        name
        for listed, _, name in (
            line.partition(" ") for line in Path(__file__).with_name("points.txt").read_text().splitlines()
        )
        if listed == process
    ]
    for process in ("dispatch", "worker")
}


def _late() -> Fault:
    """Return the right answer, a little later than one would like."""
    gate = threading.Event()
    threading.Timer(_SLOW, gate.set).start()
    return slow(gate)


def say(text: str) -> None:
    """Say how it goes."""
    print(text, flush=True)  # noqa: T201


def run(minutes: float, seed: int, folder: Path) -> Findings:
    """Run chaos in a folder and return what the checker finds."""
    server = PostgresServer(folder / "postgres")  # durable: it is restarted
    server.start()
    try:
        with market(server, folder / "home", seed=seed, name="chaos") as under_trade:
            chaos = Chaos(under_trade, server, seed)
            chaos.rage(minutes)
            say("all is well again")
            chaos.recover()
            findings = under_trade.findings(bound=_LATE)
            say(f"faults {dict(chaos.faults)}\n{findings}\nhistory {under_trade.history.path}")
            return findings
    finally:
        server.stop()


def main() -> None:
    """Run, and end with 1 if anything was lost, doubled or otherwise wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0, help="0: another each time")
    parser.add_argument("--folder", type=Path, help="an empty folder for everything; default: a fresh one")
    options = parser.parse_args()
    seed = options.seed or int(time.time())
    folder = options.folder or Path(tempfile.mkdtemp(prefix="tidings-chaos-"))
    say(f"seed {seed}, in {folder}")
    sys.exit(0 if run(options.minutes, seed, folder).clean else 1)


if __name__ == "__main__":
    main()
