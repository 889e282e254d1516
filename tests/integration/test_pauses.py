"""A pause: nothing leaves from then on, nothing is lost, and everything goes on once, or ends with the reason."""

from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from psycopg import Connection

from runtime.clock import VirtualClock
from runtime.delivery.deliver import deliver
from runtime.delivery.resend_provider import ResendProvider
from runtime.delivery.slack_provider import SlackProvider
from runtime.delivery.underway import settle
from runtime.engine.claim import claim
from runtime.engine.drain import drain
from runtime.engine.listing import list_runs
from runtime.engine.perform import perform
from runtime.engine.resuming import Resumed, resume, waiting
from runtime.engine.why import explain
from runtime.errors import NotFound
from runtime.ledger.database import Ledger
from runtime.ledger.parking import unpark
from runtime.publishing.pausing import Pause, list_pauses, pause
from runtime.publishing.publish import unpublish
from runtime.publishing.versions import list_workflows
from runtime.source.reader import Source
from tests.engine_runs import Shop
from tests.outgoing import NOW, a_delivery, a_send, crowd, leased, prepared, stored
from tests.outgoing import statuses as written
from tests.publishing import SEND, spec
from tests.servers.resend import API_KEY, ResendServer
from tests.servers.slack import TOKEN, SlackServer

pytestmark = pytest.mark.usefixtures("approved")
SHIP = "UPDATE shop.orders SET status = 'shipped' WHERE id = {}"
WAITING = [{"wait": "settle", "for": "1 hour"}, SEND]


@pytest.fixture
def shop(app: Connection[Any], ledger: Ledger, source: Source, database: str, clock: VirtualClock) -> Shop:
    return Shop.furnished(app, ledger, source, database, clock)


def stop(shop: Shop, name: str | None = None, why: str = "a wrong text") -> None:
    assert pause(shop.engine.ledger, name, by="ana", why=why, clock=shop.clock) is None


def go_on(shop: Shop, name: str | None = None, *, discard: bool = False, why: str = "") -> Resumed | None:
    ended = resume(shop.engine.ledger, name, by="bea", discard=discard, why=why, clock=shop.clock)
    drain(shop.engine)
    return ended


def told(shop: Shop, **asked: Any) -> str:
    return "\n".join(explain(shop.engine.ledger, shop.engine.source, **asked).lines())


def ship_until_messages_are_written(shop: Shop, order: int) -> None:
    """Let an order be shipped, and everything happen but deliveries."""
    shop.app.execute(SHIP.format(order).encode())
    claim(shop.engine)
    for row in shop.rows("SELECT id FROM tidings.work WHERE kind = 'advance' ORDER BY id"):
        perform(shop.engine, row["id"])


def pauses(shop: Shop) -> tuple[Pause, ...]:
    with shop.engine.ledger.connection() as conn:
        return list_pauses(conn, 1)


def statuses(shop: Shop) -> list[tuple[str, str]]:
    rows = shop.rows("SELECT status, reason FROM tidings.message_status ORDER BY id")
    return [(row["status"], row["reason"]) for row in rows]


@pytest.mark.parametrize("name", ["shipped", None])
def test_changes_are_matched_and_rest_and_go_on_once(shop: Shop, name: str | None) -> None:
    shop.publish(spec())
    stop(shop, name)
    shop.write(SHIP.format(1))
    shop.pass_time(days=40)
    assert shop.runs() == [("active", None)]
    assert shop.inbox() == []
    assert shop.rows("SELECT count(*) AS n FROM tidings.outbox") == [{"n": 0}]
    go_on(shop, name)
    assert shop.inbox() == [("1@x.test", "Order 1")]
    assert shop.runs() == [("completed", None)]
    assert shop.rows("SELECT count(*) AS n FROM tidings.work") == [{"n": 0}]


def test_a_pause_of_one_workflow_leaves_the_others_alone(shop: Shop) -> None:
    shop.publish(spec())
    shop.publish(spec("other"))
    stop(shop, "shipped")
    shop.write(SHIP.format(1))
    assert shop.runs() == [("active", None), ("completed", None)]
    assert len(shop.inbox()) == 1
    go_on(shop, "shipped")
    assert len(shop.inbox()) == 2


@pytest.mark.parametrize("name", ["shipped", None])
def test_messages_that_are_written_stay_here_and_go_out_as_they_are(shop: Shop, name: str | None) -> None:
    shop.publish(spec())
    ship_until_messages_are_written(shop, 1)
    stop(shop, name)
    drain(shop.engine)
    assert shop.inbox() == []
    found = waiting(shop.engine.ledger, name, clock=shop.clock)
    assert found is not None
    assert (found.runs, found.messages, found.people) == (0, 1, 1)
    assert "held through inbox (paused:" in told(shop, address="1@x.test")
    shop.write("UPDATE shop.orders SET status = 'refunded' WHERE id = 1")
    go_on(shop, name)
    assert shop.inbox() == [("1@x.test", "Order 1")]
    assert "Message 1 of step tell to 1@x.test by email: sent through inbox at" in told(shop, address="1@x.test")


def test_messages_of_two_workflows_do_not_share_a_request() -> None:
    sends = [a_send(crowd(2)), a_send(crowd(2), run_id=2), a_send(crowd(2), run_id=3, workflow="other")]
    assert [len(batch.request["messages"]) for batch in prepared(*sends, mode="production").batches] == [4, 2]


def test_a_wait_that_is_over_rests_and_while_is_asked_again(shop: Shop) -> None:
    shop.publish(spec(steps=WAITING, while_="live.status = 'shipped'"))
    shop.write("UPDATE shop.orders SET status = 'shipped' WHERE id IN (1, 2)")
    stop(shop, "shipped")
    shop.pass_time(hours=2)
    assert [state for state, _ in shop.runs()] == ["waiting", "waiting"]
    shop.write("UPDATE shop.orders SET status = 'refunded' WHERE id = 2")
    go_on(shop, "shipped")
    assert shop.inbox() == [("1@x.test", "Order 1")]
    assert shop.runs() == [("completed", None), ("ended", "while_false")]


def test_slots_of_a_pause_of_everything_pass_by(shop: Shop) -> None:
    to = "SELECT id AS key, email FROM shop.staff"
    text = [{"subject": "Report", "body": "x"}]
    trigger = {"schedule": "0 9 * * *", "zone": "UTC"}
    shop.publish(spec("daily", trigger=trigger, steps=[{**SEND, "to": to, "texts": text}]))
    stop(shop)
    shop.pass_time(days=2)
    found = waiting(shop.engine.ledger, clock=shop.clock)
    assert found is not None
    assert found.slots == 2
    go_on(shop)
    shop.pass_time(days=1)
    outcomes = [row["outcome"] for row in shop.rows("SELECT outcome FROM tidings.slot ORDER BY at")]
    assert outcomes == ["paused", "paused", "started"]
    assert len(shop.inbox()) == 2


def test_what_rests_is_taken_up_in_order_so_much_at_a_time(shop: Shop) -> None:
    shop.publish(spec())
    stop(shop, "shipped")
    for number in (1, 2, 3):
        shop.write(SHIP.format(number))
    shop.app.execute("UPDATE tidings.work SET id = DEFAULT WHERE ids = '{1}'")  # an older run, looked at later
    resume(shop.engine.ledger, "shipped", by="bea", clock=shop.clock)
    with shop.engine.ledger.transaction() as conn:
        assert len(unpark(conn, 1, now=shop.clock.now(), limit=2)) == 2
    ids = [row["ids"] for row in shop.rows("SELECT ids FROM tidings.work WHERE parked_for IS NULL ORDER BY ids")]
    assert ids == [[1], [2]]
    drain(shop.engine)
    assert len(shop.inbox()) == 3


def test_a_workflow_that_is_paused_by_itself_stays_so(shop: Shop) -> None:
    shop.publish(spec())
    shop.publish(spec("other"))
    stop(shop, "shipped")
    stop(shop)
    shop.write(SHIP.format(1))
    go_on(shop)
    assert len(shop.inbox()) == 1
    assert [one.workflow for one in pauses(shop)] == ["shipped"]
    go_on(shop, "shipped")
    assert len(shop.inbox()) == 2


def test_who_paused_when_and_why_is_kept_and_the_first_stays(shop: Shop) -> None:
    shop.publish(spec())
    stop(shop, "shipped")
    shop.pass_time(minutes=5)
    known = pause(shop.engine.ledger, "shipped", by="cyd", why="another", clock=shop.clock)
    line = "shipped is paused since 2026-06-01 12:00:00 UTC by ana: a wrong text. `tidings resume shipped` goes on."
    assert known is not None
    assert known.line() == line
    assert [one.state for one in list_workflows(shop.engine.ledger)] == ["paused"]
    shop.write(SHIP.format(1))
    assert f"Run 1 rests in step tell: {line}" in told(shop, run_id=1)
    assert line in told(shop, workflow="shipped")
    go_on(shop, "shipped", why="mended")
    rows = shop.rows("SELECT act, by, why FROM tidings.pause_log ORDER BY id")
    assert [tuple(row.values()) for row in rows] == [("pause", "ana", "a wrong text"), ("resume", "bea", "mended")]
    assert go_on(shop, "shipped") is None


def test_everything_that_waits_is_discarded_with_a_reason(shop: Shop) -> None:
    shop.publish(spec())
    shop.publish(spec("later", steps=WAITING))
    ship_until_messages_are_written(shop, 1)
    drain(shop.engine)
    ship_until_messages_are_written(shop, 2)
    stop(shop)
    shop.write(SHIP.format(3))
    shop.pass_time(hours=2)
    ended = go_on(shop, discard=True, why="a mistake")
    assert ended == Resumed(runs=4, messages=1)
    shop.pass_time(days=1)
    assert shop.inbox() == [("1@x.test", "Order 1")]
    assert sorted(shop.runs()) == [("completed", None), ("completed", None), *[("ended", "discarded")] * 4]
    said = told(shop, address="2@x.test")
    assert "Message 2 of step tell to 2@x.test by email: suppressed through inbox" in said
    assert "(discarded: Discarded by bea: a mistake)." in said
    said = told(shop, workflow="shipped")
    assert "because it was discarded by bea (a mistake)." in said
    assert "was discarded when what had been waiting was resumed, so nobody was told" in said
    assert {run.reason for run in list_runs(shop.engine.ledger, state="ended", limit=9)} == {"discarded"}
    shop.write("UPDATE shop.orders SET status = 'paid' WHERE id = 3")
    shop.write(SHIP.format(3))
    assert ("3@x.test", "Order 3") in shop.inbox()


def test_waits_that_are_not_over_are_not_discarded(shop: Shop) -> None:
    shop.publish(spec(steps=WAITING))
    shop.write(SHIP.format(1))
    stop(shop, "shipped")
    shop.pass_time(minutes=30)
    assert go_on(shop, "shipped", discard=True) == Resumed()
    shop.pass_time(hours=1)
    assert shop.inbox() == [("1@x.test", "Order 1")]


@pytest.mark.parametrize("steps", [[SEND], WAITING])
def test_what_was_captured_before_a_discard_and_is_matched_after_it_tells_nobody(
    shop: Shop, steps: list[dict[str, Any]]
) -> None:
    shop.publish(spec(steps=steps))
    stop(shop, "shipped")
    shop.app.execute(SHIP.format(1).encode())
    assert go_on(shop, "shipped", discard=True) == Resumed()
    shop.pass_time(hours=2)
    assert shop.runs() == [("ended", "discarded")]
    assert "because it was discarded by bea." in told(shop, run_id=1)


def test_a_message_that_may_have_been_taken_is_uncertain_after_a_discard(shop: Shop) -> None:
    shop.publish(spec())
    ship_until_messages_are_written(shop, 1)
    shop.app.execute("UPDATE tidings.delivery_batch SET first_attempt_at = now()")
    stop(shop)
    assert go_on(shop, discard=True) == Resumed(messages=1)
    assert statuses(shop) == [("uncertain", "discarded")]


def test_a_worker_that_was_slow_does_not_bring_back_what_was_discarded(shop: Shop) -> None:
    """Its messages are written after the discard, as of a moment before it."""
    shop.publish(spec())
    stop(shop, "shipped")
    assert go_on(shop, "shipped", discard=True) is not None
    shop.app.execute("UPDATE tidings.workflow SET discarded_at = NULL")
    ship_until_messages_are_written(shop, 1)
    shop.app.execute("UPDATE tidings.workflow SET discarded_at = %s", [shop.clock.now()])
    drain(shop.engine)
    assert shop.inbox() == []
    assert statuses(shop) == [("suppressed", "discarded")]


def test_a_version_that_is_published_in_a_pause_rests_too(shop: Shop) -> None:
    shop.publish(spec())
    stop(shop, "shipped")
    shop.publish(spec(about="Another."))
    shop.write(SHIP.format(1))
    assert shop.inbox() == []
    assert [(one.state, one.number) for one in list_workflows(shop.engine.ledger)] == [("paused", 2)]
    go_on(shop, "shipped")
    assert len(shop.inbox()) == 1


def test_a_workflow_that_is_unpublished_in_a_pause_keeps_what_waits(shop: Shop) -> None:
    shop.publish(spec())
    stop(shop, "shipped")
    shop.write(SHIP.format(1))
    unpublish(shop.engine.ledger, shop.url, "shipped", clock=shop.clock)
    shop.write(SHIP.format(2))
    assert [(one.state, one.pause is not None) for one in list_workflows(shop.engine.ledger)] == [("draft", True)]
    go_on(shop, "shipped")
    assert shop.inbox() == [("1@x.test", "Order 1")]


def test_nothing_can_be_paused_or_resumed_that_does_not_exist(shop: Shop) -> None:
    shop.publish(spec())
    with pytest.raises(NotFound, match="shipped"):
        pause(shop.engine.ledger, "shiped", by="ana")
    with pytest.raises(NotFound, match="shipped"):
        resume(shop.engine.ledger, "shiped", by="ana")
    assert settle(shop.engine.ledger, patience=timedelta(seconds=1)) == 0


def test_a_worker_that_has_begun_to_send_stops_before_the_next_request(ledger: Ledger, app: Connection[Any]) -> None:
    with SlackServer() as slack:
        delivery = a_delivery(SlackProvider(TOKEN, url=slack.api_url, timeout=timedelta(seconds=5)))
        (work_id,) = stored(ledger, delivery, a_send([{"key": n, "slack": f"#channel{n}"} for n in range(3)]))
        slack.witness = lambda _: pause(ledger, by="ana")
        deliver(ledger, delivery, leased(ledger, work_id), now=NOW)
        assert [row[1:] for row in written(app)] == [("sent", ""), ("held", "paused"), ("held", "paused")]
        assert app.execute("SELECT parked_for FROM tidings.work").fetchall() == [(0,)]
        slack.witness = dict
        resume(ledger, by="bea")
        deliver(ledger, delivery, leased(ledger, work_id), now=NOW)
        assert len(slack.accepted) == 3
    assert {row[1:] for row in written(app)} == {("sent", "")}


def test_requests_that_were_marked_together_are_given_back(
    ledger: Ledger, app: Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two of them the worker looks, when half a second has passed: here at once."""
    monkeypatch.setattr("runtime.delivery.deliver._LOOK", -1.0)
    with ResendServer() as resend, closing(ResendProvider(API_KEY, url=resend.url)) as provider:
        delivery = a_delivery(provider)
        for number in range(3):
            stored(ledger, delivery, a_send(crowd(1), run_id=number + 1))
        app.execute("UPDATE tidings.work SET ids = '{1,2,3}' WHERE id = 1; DELETE FROM tidings.work WHERE id > 1")
        resend.witness = lambda _: pause(ledger, by="ana")
        deliver(ledger, delivery, leased(ledger, 1), now=NOW)
        deliver(ledger, delivery, leased(ledger, 1), now=NOW)
        assert len(resend.requests) == 1
    assert [row[1:] for row in written(app)] == [("sent", ""), ("held", "paused"), ("held", "paused")]
    counted = app.execute(
        "SELECT attempts, first_attempt_at IS NULL FROM tidings.delivery_batch ORDER BY id"
    ).fetchall()
    assert counted == [(1, False), (0, True), (0, True)]


def test_what_is_discarded_while_a_worker_sends_stays_discarded(shop: Shop) -> None:
    """The request that it has just given to the provider is its own; the others are not sent any more."""
    with SlackServer() as slack:
        delivery = a_delivery(SlackProvider(TOKEN, url=slack.api_url, timeout=timedelta(seconds=5)))
        shop = replace(shop, engine=replace(shop.engine, delivery=delivery))
        shop.app.execute("UPDATE shop.customers SET slack_handle = '#c' || id")
        shop.app.execute("UPDATE tidings.project SET mode = 'production'")
        to = "SELECT c.id AS key, c.slack_handle AS slack FROM shop.customers c"
        shop.publish(spec(steps=[{**SEND, "to": to, "channels": ["slack"], "texts": [{"body": "x"}]}]))

        def discard(_: object) -> None:
            stop(shop, "shipped")
            resume(shop.engine.ledger, "shipped", by="bea", discard=True, clock=shop.clock)

        slack.witness = discard
        shop.write(SHIP.format(1))
        assert statuses(shop) == [("sent", ""), ("suppressed", "discarded"), ("suppressed", "discarded")]
        shop.pass_time(hours=2)
        assert len(slack.accepted) == 1
    assert shop.rows("SELECT * FROM tidings.work") == []
