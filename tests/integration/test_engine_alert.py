"""Alerts: an alarm that lasts is told once to a registered contact, by whoever watches, and again when it is over."""

import logging
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from psycopg import Connection

from runtime.clock import VirtualClock
from runtime.delivery.resend_provider import ResendProvider
from runtime.engine.engine import Engine
from runtime.engine.watch import beat, look
from runtime.ledger.database import Ledger
from runtime.source.reader import Source
from tests.engine_runs import Shop
from tests.outgoing import a_delivery
from tests.publishing import spec
from tests.servers.far_end import Answer, Fault
from tests.servers.resend import ResendServer

pytestmark = pytest.mark.usefixtures("approved")
SECONDS = 21


@pytest.fixture
def shop(app: Connection[Any], ledger: Ledger, source: Source, database: str, clock: VirtualClock) -> Shop:
    """A shop that is live and led, with an outbox that does not drain."""
    shop = Shop.furnished(app, ledger, source, database, clock)
    shop.publish(spec())
    app.execute("SELECT pg_try_advisory_lock(hashtext('tidings.leader'), 1)")
    beat(shop.engine)
    stick(shop)
    return shop


def stick(shop: Shop) -> None:
    for status in ("paid", "shipped"):
        shop.app.execute("UPDATE shop.orders SET status = %s WHERE id = 1", (status,))
    shop.app.execute("UPDATE tidings.outbox SET captured_at = captured_at - interval '2 min'")


def pass_seconds(shop: Shop, seconds: int = SECONDS) -> None:
    """Let time pass for alerts, which go by the server's clock."""
    shop.app.execute(
        "UPDATE tidings.alert SET seen_at = seen_at - s, last_seen_at = last_seen_at - s"
        " FROM make_interval(secs => %s) s",
        (seconds,),
    )


def looked(shop: Shop, engine: Engine | None = None) -> list[str]:
    """Look, and return the subjects in the inbox."""
    look(engine or shop.engine, contact="ops")
    return [subject for _, subject in shop.inbox()]


def test_an_alarm_that_lasts_is_told_once_and_its_end_once(shop: Shop) -> None:
    assert looked(shop) == []
    pass_seconds(shop)
    assert looked(shop) == ["Tidings test: 1 alarm"]
    assert shop.inbox()[0][0] == "ops@x.test"
    [mail] = shop.rows("SELECT text FROM tidings.inbox")
    assert "Now: A captured change has waited for 2 minutes: the outbox is not draining." in mail["text"]
    pass_seconds(shop)
    assert len(looked(shop)) == 1
    shop.app.execute("DELETE FROM tidings.outbox")
    assert len(looked(shop)) == 1
    pass_seconds(shop, 3 * SECONDS)
    assert looked(shop)[1:] == ["Tidings test: 1 over"]
    pass_seconds(shop, 3 * SECONDS)
    assert len(looked(shop)) == 2
    assert shop.rows("SELECT code, recovered_at IS NOT NULL AS over FROM tidings.alert") == [
        {"code": "outbox_stuck", "over": True}
    ]
    stick(shop)
    looked(shop)
    pass_seconds(shop)
    assert len(looked(shop)) == 3
    told = shop.rows("SELECT run_id < 0 AS of_no_run, step FROM tidings.message ORDER BY id")
    assert told == [{"of_no_run": True, "step": step} for step in (0, 1, 0)]


def test_a_passing_moment_is_told_to_nobody(shop: Shop) -> None:
    looked(shop)
    shop.app.execute("DELETE FROM tidings.outbox")
    pass_seconds(shop)
    assert looked(shop) == []
    assert shop.rows("SELECT * FROM tidings.alert") == []


def test_an_alarm_that_comes_and_goes_within_a_minute_is_one(shop: Shop) -> None:
    looked(shop)
    for _ in range(3):
        pass_seconds(shop)
        looked(shop)
        shop.app.execute("DELETE FROM tidings.outbox")
        pass_seconds(shop)
        looked(shop)
        stick(shop)
        looked(shop)
    assert len(looked(shop)) == 1


def test_what_hooks_missed_is_an_alarm_and_several_are_one_message(shop: Shop) -> None:
    shop.app.execute("SELECT nextval('tidings.missed_1')")
    looked(shop)
    pass_seconds(shop)
    assert looked(shop) == ["Tidings test: 2 alarms"]
    [mail] = shop.rows("SELECT text FROM tidings.inbox")
    assert "1 changed row(s) of shop.orders were missed" in mail["text"]


def test_without_a_contact_it_is_logged_and_an_unknown_one_is_said(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    look(shop.engine)
    pass_seconds(shop)
    with caplog.at_level(logging.WARNING):
        look(shop.engine, contact="nobody")
    assert shop.inbox() == []
    assert "alert.raised alert=1 A captured change has waited" in caplog.text
    assert "no contact of this name is registered" in caplog.text


def test_a_copied_database_tells_nobody(shop: Shop) -> None:
    looked(shop)
    pass_seconds(shop)
    shop.app.execute("UPDATE tidings.project SET database_name = 'another'")
    assert look(shop.engine, contact="ops") == ()
    assert shop.inbox() == []


def test_one_looks_at_a_time(shop: Shop) -> None:
    with shop.app.transaction():
        shop.app.execute("SELECT pg_advisory_xact_lock(hashtext('tidings.watch'), 1)")
        assert look(shop.engine) == ()
    assert [alarm.code for alarm in look(shop.engine)] == ["outbox_stuck"]


@pytest.fixture
def sending(shop: Shop) -> Iterator[tuple[Engine, ResendServer]]:
    """An engine that sends for real."""
    shop.app.execute("UPDATE tidings.project SET mode = 'production'")
    with ResendServer() as far_end:
        provider = ResendProvider(far_end.api_key, url=far_end.url, timeout=timedelta(seconds=5))
        engine = shop.engine
        yield Engine(engine.ledger, engine.source, a_delivery(provider), clock=shop.clock), far_end
        provider.close()


def test_whoever_watches_sends_it_without_leader_or_worker(shop: Shop, sending: tuple[Engine, ResendServer]) -> None:
    engine, far_end = sending
    far_end.misbehave(Fault(Answer(500, b"{}", {"content-type": "application/json"})))
    looked(shop, engine)
    pass_seconds(shop)
    looked(shop, engine)
    assert far_end.mails == []
    shop.clock.advance_to(shop.clock.now() + timedelta(minutes=5))
    looked(shop, engine)
    assert [(mail["to"], mail["subject"]) for mail in far_end.mails] == [(["ops@x.test"], "Tidings test: 1 alarm")]
    shop.clock.advance_to(shop.clock.now() + timedelta(minutes=5))
    looked(shop, engine)
    assert len(far_end.mails) == 1
    assert shop.rows("SELECT * FROM tidings.alert_work") == []
    assert shop.rows("SELECT status FROM tidings.message_status") == [{"status": "sent"}]
