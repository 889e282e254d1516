"""One send to very many people: slices, requests that share their words, and the pace of a provider."""

import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from psycopg import Connection
from psycopg.errors import UniqueViolation

from runtime.delivery.deliver import deliver
from runtime.delivery.resend_provider import ResendProvider
from runtime.delivery.smtp_provider import SmtpProvider
from runtime.engagement.unsubscribe import unsubscribe
from runtime.ledger.database import Ledger
from tests.outgoing import CHAT, MAIL, NOW, a_delivery, a_send, crowd, leased, owed, statuses, stored, stored_crowd
from tests.servers.far_end import close
from tests.servers.resend import API_KEY, ResendServer, rate_limited
from tests.servers.smtp import SmtpServer

_FIXED = MAIL.model_copy(update={"subject": "Order {{ new.id }}", "html": "<p>{{ new.id }}</p>"})


@pytest.fixture
def resend() -> Iterator[ResendServer]:
    with ResendServer() as server:
        yield server


@pytest.fixture
def provider(resend: ResendServer) -> Iterator[ResendProvider]:
    provider = ResendProvider(API_KEY, url=resend.url, timeout=timedelta(seconds=2))
    yield provider
    provider.close()


def test_everybody_of_several_slices_gets_one_mail(
    ledger: Ledger, app: Connection[Any], resend: ResendServer, provider: ResendProvider
) -> None:
    people = [*crowd(4_500), *crowd(2_200), {"key": "nobody"}, {"key": "nobody", "email": "late@mail.test"}]
    app.execute("INSERT INTO tidings.suppression VALUES (1, 'person4242@mail.test', '', 'bounced', '', now())")
    delivery = a_delivery(provider)
    work = stored_crowd(ledger, delivery, a_send([*people, {"key": "gone"}], texts=(_FIXED,), channels=("email",)))
    assert len(work) == 4
    for work_id in work:
        assert deliver(ledger, delivery, leased(ledger, work_id), now=NOW) == []
    assert sorted(mail["to"][0] for mail in resend.mails) == sorted(
        [f"person{number}@mail.test" for number in range(4_500) if number != 4_242] + ["late@mail.test"]
    )
    assert {mail["html"] for mail in resend.mails} == {"<p>7</p>"}
    fates: dict[Any, int] = {}
    for _, *fate in statuses(app):
        fates[tuple(fate)] = fates.get(tuple(fate), 0) + 1
    assert fates == {("sent", ""): 4_500, ("suppressed", "suppressed"): 1, ("failed", "no_address"): 1}
    ((known, told),) = app.execute(
        "SELECT count(DISTINCT provider_id), count(*) FROM tidings.message_status"
    ).fetchall()
    assert (known, told) == (4_500, 4_502)
    assert owed(app) == []


def test_a_crowd_in_the_inbox_reads_as_everybody_else_does(ledger: Ledger, app: Connection[Any]) -> None:
    people = [person | {"name": f"<{person['key']}>"} for person in crowd(230)] + [{"key": "chat", "slack": "#ops"}]
    columns = "channel, sender, recipient, subject, html, text, headers - 'Message-ID', delivered_at"
    seen = []
    for number in (1, 2):
        send = a_send(people, run_id=number, category="product", topic="news")
        work = (stored if number == 1 else stored_crowd)(ledger, a_delivery(), send, mode="inbox")
        for work_id in work:
            deliver(ledger, a_delivery(), leased(ledger, work_id), now=NOW)
        of_run = f"message_id IN (SELECT id FROM tidings.message WHERE run_id = {number})"
        seen.append(
            app.execute(f"SELECT {columns} FROM tidings.inbox WHERE {of_run} ORDER BY recipient".encode()).fetchall()
        )
    assert len(seen[0]) == 231
    assert seen[0] == seen[1]
    assert app.execute("SELECT count(DISTINCT headers->>'Message-ID') FROM tidings.inbox").fetchone() == (460,)


def test_an_interrupted_crowd_is_repeated_byte_for_byte(
    ledger: Ledger, app: Connection[Any], resend: ResendServer, provider: ResendProvider
) -> None:
    delivery = a_delivery(provider)
    (work_id,) = stored_crowd(ledger, delivery, a_send(crowd(300), category="product"))
    resend.misbehave(close(takes=True), close())
    deliver(ledger, delivery, leased(ledger, work_id), now=NOW)
    assert len(resend.accepted) == 2
    deliver(ledger, delivery, leased(ledger, work_id), now=NOW)
    bodies: dict[str, set[bytes]] = {}
    for request in resend.requests:
        bodies.setdefault(request.headers["idempotency-key"], set()).add(request.body)
    assert [len(same) for same in bodies.values()] == [1, 1, 1]
    assert len(resend.requests) == 5
    assert len(resend.mails) == 300
    assert {status[1:] for status in statuses(app)} == {("sent", "")}


def test_what_follows_a_limit_was_not_tried(
    ledger: Ledger, app: Connection[Any], resend: ResendServer, provider: ResendProvider
) -> None:
    delivery = a_delivery(provider)
    (work_id,) = stored_crowd(ledger, delivery, a_send(crowd(500)))
    resend.misbehave(rate_limited(retry_after=7))
    deliver(ledger, delivery, leased(ledger, work_id), now=NOW)
    assert len(resend.requests) == 1
    rows = app.execute(
        "SELECT DISTINCT state, attempts, first_attempt_at, reason FROM tidings.delivery_batch"
    ).fetchall()
    assert rows == [("queued", 0, None, "rate_limited")]
    ((due_at, _),) = owed(app)
    assert due_at >= NOW + timedelta(seconds=7)
    deliver(ledger, delivery, leased(ledger, work_id), now=due_at)
    assert len(resend.mails) == 500


def test_a_crowd_goes_out_through_a_mail_server_one_by_one(ledger: Ledger, app: Connection[Any]) -> None:
    with SmtpServer() as server:
        provider = SmtpProvider(f"smtp://127.0.0.1:{server.port}")
        work = stored_crowd(ledger, a_delivery(provider), a_send(crowd(25), texts=(_FIXED,), channels=("email",)))
        for work_id in work:
            deliver(ledger, a_delivery(provider), leased(ledger, work_id), now=NOW)
        provider.close()
        assert len(server.accepted) == 25
    assert {status[1:] for status in statuses(app)} == {("sent", "")}


def test_a_crowd_that_was_stored_is_not_stored_again(ledger: Ledger, app: Connection[Any]) -> None:
    stored_crowd(ledger, a_delivery(), a_send(crowd(10)), mode="inbox")
    with pytest.raises(UniqueViolation):
        stored_crowd(ledger, a_delivery(), a_send(crowd(2_500)), mode="inbox")
    assert len(statuses(app)) == 10
    assert app.execute("SELECT count(*) FROM tidings.shared_words").fetchone() == (1,)


def test_the_message_of_a_crowd_that_carried_a_link_is_known_by_it(ledger: Ledger, app: Connection[Any]) -> None:
    send = a_send(crowd(120), category="product", topic="news", texts=(MAIL, CHAT))
    for work_id in stored_crowd(ledger, a_delivery(), send, mode="inbox"):
        deliver(ledger, a_delivery(), leased(ledger, work_id), now=NOW)
    query = "SELECT headers->>'List-Unsubscribe', message_id FROM tidings.inbox WHERE recipient = 'person117@mail.test'"
    ((header, message_id),) = app.execute(query).fetchall()
    unsubscribe(ledger, header.rpartition("/")[2].removesuffix(">"), now=NOW)
    events = app.execute("SELECT message_id, kind FROM tidings.delivery_event").fetchall()
    assert events == [(message_id, "unsubscribed")]


def test_no_more_requests_a_second_are_made_than_the_provider_takes(
    ledger: Ledger, app: Connection[Any], resend: ResendServer
) -> None:
    provider = ResendProvider(API_KEY, url=resend.url, rate=20.0)
    delivery = a_delivery(provider)
    first, second = (stored_crowd(ledger, delivery, a_send(crowd(300), run_id=number)) for number in (1, 2))
    begun = time.monotonic()
    for work_id in (*first, *second):
        deliver(ledger, delivery, leased(ledger, work_id), now=NOW)
    assert time.monotonic() - begun >= 5 / 20
    assert len(resend.requests) == 6
    app.execute("UPDATE tidings.provider_pace SET next_at = clock_timestamp() + interval '40 s'")
    (third,) = stored_crowd(ledger, delivery, a_send(crowd(100), run_id=3))
    deliver(ledger, delivery, leased(ledger, third), now=NOW)
    assert len(resend.requests) == 6
    ((due_at, _),) = owed(app)
    assert timedelta(seconds=30) < due_at - NOW < timedelta(seconds=100)
    states = app.execute("SELECT state, attempts FROM tidings.delivery_batch WHERE finished_at IS NULL").fetchall()
    assert states == [("queued", 0)]
    provider.close()
