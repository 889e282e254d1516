"""What everything leans on gives way: connections, locks, the broker, the providers, or nobody works at all."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import psycopg
import pytest
from psycopg import sql

from tests.faults.market import Market
from tests.faults.system import locked, wait_for, waits_for_lock
from tests.servers import resend, slack
from tests.servers.far_end import Fault, close, garbage, hang, html

_OTHERS = 40
_ALL = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
_OURS = f"{_ALL} AND usename LIKE 'tidings%'"


def accepted(market: Market) -> int:
    return len(market.history.records("accepted"))


@contextmanager
def every_connection_taken(market: Market) -> Iterator[None]:
    """Let others hold every connection that the database allows, and end those of Tidings, until the context ends."""
    system = market.system
    with psycopg.connect(system.url, autocommit=True) as admin, ExitStack() as others:
        limit = sql.SQL("ALTER DATABASE {} CONNECTION LIMIT {}")
        admin.execute(limit.format(sql.Identifier(admin.info.dbname), 0))
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename LIKE 'tidings%'")
        wait_for(lambda: system.ledger_says(_OURS) == 0, lambda: "Tidings is still connected")
        for _ in range(_OTHERS):
            others.enter_context(psycopg.connect(system.url))
        admin.execute(
            limit.format(sql.Identifier(admin.info.dbname), system.ledger_says(_ALL) - 1)
        )  # but this question
        yield


def test_every_connection_is_used_up_by_others_and_freed_again(fresh: Market) -> None:
    fresh.start("dispatch", "worker")
    fresh.trader.act(40)
    wait_for(lambda: accepted(fresh) > 0, lambda: "nothing was accepted")
    with every_connection_taken(fresh):
        fresh.trader.act(40)
        before = accepted(fresh)
        with pytest.raises(psycopg.OperationalError, match="too many connections"):
            psycopg.connect(fresh.system.settings.ledger_url).close()
    fresh.doubt_nudges()
    fresh.judge()
    assert accepted(fresh) > before
    assert all(process.poll() is None for process in fresh.system.processes.values())


def test_claims_are_rolled_back(fresh: Market) -> None:
    with locked(fresh.system.url, "tidings.work"):
        fresh.start("dispatch", "worker")
        fresh.trader.act(60)
        for _ in range(2):
            wait_for(lambda: waits_for_lock(fresh.system, "ledger"), lambda: "no claim is under way")
            fresh.system.do("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
    fresh.judge()


def test_the_default_broker_stands_still_and_goes_on(fresh: Market) -> None:
    fresh.start("dispatch", "worker")
    fresh.trader.act(20)
    wait_for(lambda: accepted(fresh) > 0, lambda: "nothing was accepted")
    with locked(fresh.system.url, "tidings.dramatiq_queue"):
        fresh.trader.act(40)
        wait_for(lambda: waits_for_lock(fresh.system, "ledger"), lambda: "nobody waits for the broker")
    fresh.doubt_nudges()
    fresh.judge()


def test_the_default_broker_loses_what_it_holds_again_and_again(fresh: Market) -> None:
    fresh.start("dispatch", "worker")
    for _ in range(5):
        fresh.trader.act(20)
        fresh.history.write("wiped")
        fresh.system.do("TRUNCATE tidings.dramatiq_queue")
    fresh.claimed()
    fresh.doubt_nudges()
    fresh.judge()


def test_the_far_ends_misbehave_in_every_way(fresh: Market) -> None:
    fresh.system.far_end.misbehave(
        close(takes=True),
        resend.rate_limited(1),
        html(),
        garbage(takes=True),
        close(),
        resend.refused(500, "application_error", takes=True),
        hang(takes=True),
    )
    fresh.system.slack.misbehave(slack.rate_limited(1), close(takes=True), slack.refused("internal_error", takes=True))
    fresh.start("dispatch")
    fresh.start("worker", options=["--impatient"])
    fresh.trader.write("alarms", rows=4, level=0)
    fresh.trader.change("alarms", level=1)
    for _ in range(10):
        fresh.trader.act(10)

    def quiet() -> bool:
        fresh.system.do(
            "UPDATE tidings.work SET due_at = least(due_at, clock_timestamp()), nudged_at = NULL;"
            "UPDATE tidings.provider_pause SET until = least(until, clock_timestamp())"
        )
        return bool(fresh.system.ledger_says("SELECT count(*) FROM tidings.work") == 0)

    wait_for(quiet, lambda: f"work is left over, see {fresh.system.log}")
    findings = fresh.judge()
    assert 1 <= findings.uncertain <= 3, "what Slack did not answer is uncertain, and never sent again"
    assert findings.known == {}, "and all of it had been taken"


def a_day_passes(market: Market, hours: int = 25) -> None:
    """Move what the ledger remembers into the past; the far end forgets its keys, as Resend does."""
    market.system.far_end.forget_keys()
    past = f"interval '{hours} hours'"
    market.system.do(
        f"UPDATE tidings.delivery_batch"
        f" SET created_at = created_at - {past}, first_attempt_at = first_attempt_at - {past};"
        f"UPDATE tidings.work SET due_at = due_at - {past}, nudged_at = NULL"
    )


def test_a_provider_is_down_for_a_day(fresh: Market) -> None:
    down = resend.refused(503, "service_unavailable")
    doubtful = close(takes=True)
    fresh.system.far_end.misbehave(doubtful)
    fresh.system.far_end.mood = lambda: down
    fresh.start("dispatch", "worker")
    fresh.trader.write("parcels", rows=3, state="sent")
    unanswered = "SELECT count(*) FROM tidings.delivery_batch WHERE reason = 'unanswered' AND state = 'queued'"
    wait_for(lambda: fresh.system.ledger_says(unanswered) == 1, lambda: "the provider was not asked")
    fresh.kill()
    first = fresh.findings().owed
    a_day_passes(fresh)
    fresh.trader.write("parcels", rows=4, state="sent")
    fresh.system.far_end.mood = Fault
    fresh.start("dispatch-2", "worker-2")
    findings = fresh.judge(bound=float("inf"))
    assert (findings.uncertain, findings.accepted, findings.owed) == (first, 3 + 4, 3 + 4)
    assert set(findings.known.values()) <= {"uncertain: unanswered"}


def test_a_provider_that_nobody_could_reach_for_a_day_gets_everything_afterwards(fresh: Market) -> None:
    fresh.start("dispatch")
    fresh.start("worker", environment={"RESEND_API_URL": "http://127.0.0.1:9"})
    fresh.trader.write("parcels", rows=3, state="sent")
    refused = "SELECT count(*) FROM tidings.delivery_batch WHERE reason = 'refused' AND first_attempt_at IS NULL"
    wait_for(lambda: fresh.system.ledger_says(refused) == 1, lambda: "nobody tried")
    fresh.kill()
    a_day_passes(fresh)
    fresh.start("dispatch-2", "worker-2")
    findings = fresh.judge(bound=float("inf"))
    assert (findings.uncertain, findings.known, findings.accepted) == (0, {}, 3)


def test_the_workers_are_down_for_a_weekend(fresh: Market) -> None:
    fresh.start("dispatch", "worker")
    fresh.trader.act(40)
    fresh.kill("worker")
    fresh.trader.act(60)
    fresh.claimed()
    fresh.kill("dispatch")
    fresh.trader.act(60)
    a_day_passes(fresh, hours=60)
    fresh.system.do(
        "UPDATE tidings.outbox SET captured_at = captured_at - interval '60 hours';"
        "UPDATE tidings.work SET lease_until = lease_until - interval '60 hours';"
        "UPDATE tidings.run_timer SET due_at = due_at - interval '60 hours'"
    )
    fresh.start("dispatch-2", "worker-2")
    fresh.judge(bound=float("inf"))
