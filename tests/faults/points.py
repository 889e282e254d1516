"""The crash points that there are, as the list beside this file says; a normal run must pass exactly these.

`python -m tests.faults.points` prints those that are passed now, as the list has them.
"""

import tempfile
from pathlib import Path
from typing import NamedTuple

from runtime.postgres.server import PostgresServer
from tests.faults.market import Market, market
from tests.faults.system import wait_for

LIST = Path(__file__).with_name("points.txt")
SWEEPING = ("runtime.engine.sweep", "runtime.workers.dispatcher.lead#3")
"""What only happens when a nudge was lost."""

_MANY = 25
"""Posts that are more than one piece of work: the second is nudged for."""


class Point(NamedTuple):
    """A place in a process at which it can be killed."""

    process: str
    """dispatch or worker."""
    name: str
    now_and_then: bool = False
    """Housekeeping that a short run may do or not."""


def listed() -> list[Point]:
    """Return the list."""
    lines = [line.split() for line in LIST.read_text().splitlines() if line and not line.startswith("#")]
    return [Point(process.lstrip("~"), name, now_and_then=process.startswith("~")) for process, name in lines]


def passed(market: Market) -> set[tuple[str, str]]:
    """Let everything happen that normally happens, and return the points that were passed."""
    files = {name: market.system.settings.home / f"passed-by-{name}" for name in ("dispatch", "worker")}
    market.start("dispatch", options=["--record", str(files["dispatch"])])
    trade(market)
    market.claimed()
    lose_the_nudges(market)
    market.start("worker", options=["--record", str(files["worker"])])
    market.settle()
    make_somebody_wait(market)
    market.settle()
    market.kill()
    return {(name, point) for name, file in files.items() for point in file.read_text().split()}


def trade(market: Market) -> None:
    """Write something of everything."""
    market.deliver_papers()
    market.trader.write("parcels", state="sent")
    market.trader.write("alarms", rows=_MANY if market.rounds == 1 else 2, level=0)
    market.trader.change("alarms", level=1 + market.rounds)
    market.trader.write("invoices", state="open")
    market.trader.act(10)


def make_somebody_wait(market: Market) -> None:
    """Let runs begin to wait; if the worker is slow they find that it is time already, and others must do it."""

    def waits() -> bool:
        market.trader.write("invoices", state="open")
        return bool(market.system.ledger_says("SELECT count(*) FROM tidings.run_timer"))

    wait_for(waits, lambda: "nobody waits")


def lose_the_nudges(market: Market) -> None:
    """Wipe the default broker, and let the time pass after which the sweeper looks."""
    market.history.write("wiped")
    market.system.do("TRUNCATE tidings.dramatiq_queue")
    market.doubt_nudges()


def main() -> None:
    """Print the points of a normal run."""
    with tempfile.TemporaryDirectory(prefix="tidings-points-", ignore_cleanup_errors=True) as folder:
        server = PostgresServer(Path(folder) / "postgres", scratch=True)
        server.start()
        try:
            with market(server, Path(folder) / "home", papers=True) as shared:
                rare = {(point.process, point.name) for point in listed() if point.now_and_then}
                for process, name in sorted(passed(shared) | rare):
                    print(f"{'~' if (process, name) in rare else ''}{process} {name}")  # noqa: T201
        finally:
            server.stop()


if __name__ == "__main__":
    main()
