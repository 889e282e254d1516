"""Two that believe to lead, and machines whose clock is wrong: nothing is lost, doubled or swapped for it."""

from collections import Counter

import pytest

from tests.faults.market import Market, publish_papers
from tests.faults.system import wait_for

_DAY = 86_400


def claimed_by(market: Market) -> Counter[str]:
    """Return how many claims each process wrote into its log."""
    lines = market.system.log.read_text().splitlines()
    return Counter("claims" for line in lines if "changes.claimed" in line)


def test_two_leaders_claim_at_once(fresh: Market) -> None:
    publish_papers(fresh.system)
    fresh.deliver_papers()
    fresh.start("dispatch-1", "dispatch-2", "dispatch-3", options=["--leads"])
    fresh.start("worker")
    wait_for(lambda: fresh.system.log.read_text().count("leader.elected") == 3, lambda: "not all of them lead")
    for _ in range(15):
        fresh.trader.act(30)
    fresh.judge()
    assert claimed_by(fresh)["claims"] > 3


def test_runs_of_one_row_start_in_order_also_under_two_leaders(fresh: Market) -> None:
    fresh.start("dispatch-1", "dispatch-2", "dispatch-3", options=["--leads"])
    wait_for(lambda: fresh.system.log.read_text().count("leader.elected") == 3, lambda: "not all of them lead")
    fresh.trader.write("parcels", rows=5, state="new")
    for _ in range(150):
        fresh.trader.change("parcels", state="sent")
        fresh.trader.change("parcels", state="new")
    fresh.claimed()
    fresh.start("worker")
    fresh.judge()
    assert fresh.findings().runs == 150 * 5


@pytest.mark.parametrize("shift", [_DAY, -_DAY], ids=["a day ahead", "a day behind"])
@pytest.mark.parametrize("whose", ["dispatch", "worker"])
def test_a_clock_is_wrong_and_then_right(fresh: Market, shift: int, whose: str) -> None:
    other = {"dispatch": "worker", "worker": "dispatch"}[whose]
    publish_papers(fresh.system)
    fresh.deliver_papers()
    fresh.start(whose, options=["--clock", str(shift)])
    fresh.start(other)
    for _ in range(4):
        fresh.trader.write("parcels", rows=3, state="sent")
        fresh.trader.write("alarms", rows=2, level=0)
        fresh.trader.write("invoices", rows=2, state="open")
    fresh.trader.change("alarms", level=1)
    fresh.claimed()
    fresh.kill(whose)
    if whose == "worker":
        fresh.system.let_leases_run_out()
    fresh.doubt_nudges()
    fresh.start(f"{whose}-2")
    fresh.judge(bound=float("inf"))
