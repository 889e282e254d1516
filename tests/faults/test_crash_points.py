"""A process is killed at every commit and every external call there is; the checker judges what became of it."""

from collections.abc import Iterator

import pytest

from runtime.postgres.server import PostgresServer
from tests.faults.market import Market, market
from tests.faults.points import LIST, SWEEPING, Point, listed, lose_the_nudges, make_somebody_wait, passed, trade

_AGAIN = {
    Point("worker", f"runtime.delivery.deliver.deliver:commit:{side}"): 2  # the first marks, this writes the answer
    for side in ("before", "after")
}
_THREADS = 4
"""Of a worker; each may be at a request to Slack when it is killed."""
_CASES = [(point, 1) for point in listed() if not point.now_and_then] + list(_AGAIN.items())


@pytest.fixture(scope="module")
def shared(server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Market]:
    """One database, and one Resend and Slack, for all points; each gets rows of its own."""
    with market(server, tmp_path_factory.mktemp("points") / "home", papers=True, name="points") as shared:
        yield shared


@pytest.fixture
def traded(shared: Market) -> Iterator[Market]:
    """The shared market with rows that nobody has looked at yet, and no process."""
    trade(shared)
    yield shared
    shared.kill()


def test_no_commit_and_no_external_call_is_missing_from_the_list(shared: Market) -> None:
    found = passed(shared)
    known = {(point.process, point.name) for point in listed()}
    often = {(point.process, point.name) for point in listed() if not point.now_and_then}
    assert sorted(found - known) == [], f"new points: add them to {LIST.name}, so that processes are killed there too"
    assert sorted(often - found) == [], f"points that are passed no more: take them out of {LIST.name}"
    shared.judge()


@pytest.mark.parametrize(("point", "turn"), _CASES, ids=[f"{point.name}-{turn}" for point, turn in _CASES])
def test_a_process_dies_at(point: Point, turn: int, traded: Market) -> None:
    other = {"dispatch": "worker", "worker": "dispatch"}[point.process]
    uncertain = traded.findings().uncertain
    if point.name.startswith(SWEEPING):
        traded.start("dispatch-0")
        traded.claimed()
        traded.kill("dispatch-0")
        lose_the_nudges(traded)
    traded.start(point.process, options=["--at", point.name, "--turn", str(turn)])
    traded.start(other)
    if "tick#1" in point.name:
        make_somebody_wait(traded)
    traded.system.dies(point.process)
    traded.history.write("died", process=point.process, point=point.name, turn=turn)
    traded.hurry() if point.process == "worker" else traded.doubt_nudges()
    traded.start(f"{point.process}-2")
    findings = traded.judge()
    assert findings.uncertain - uncertain <= (_THREADS if point.process == "worker" else 0), str(findings)


def test_a_provider_that_broke_its_promise_would_be_caught(fresh: Market) -> None:
    fresh.trader.write("parcels", state="sent")
    fresh.start("worker", options=["--at", "runtime.delivery.resend_provider._BatchRequest.make_request:call:after"])
    fresh.start("dispatch")
    fresh.system.dies("worker")
    fresh.system.far_end.forget_keys()
    fresh.hurry()
    fresh.start("worker-2")
    fresh.settle()
    assert [item.workflow for item in fresh.findings().doubled] == ["parcel-sent"]
