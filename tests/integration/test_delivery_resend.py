import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from psycopg import Connection

from runtime.delivery.deliver import deliver
from runtime.delivery.resend_provider import ResendProvider
from runtime.ledger.database import Ledger
from runtime.ledger.work import LeaseLost
from tests.outgoing import NOW, a_delivery, a_send, crowd, leased, owed, statuses, stored
from tests.servers.far_end import Fault, close, garbage, hang, html, slow
from tests.servers.resend import API_KEY, ResendServer, quota, rate_limited, refused

_SOON = timedelta(seconds=0.3)


@pytest.fixture
def resend() -> Iterator[ResendServer]:
    with ResendServer() as server:
        yield server


@pytest.fixture
def provider(resend: ResendServer) -> Iterator[ResendProvider]:
    provider = ResendProvider(API_KEY, url=resend.url, timeout=_SOON)
    yield provider
    provider.close()


def _due(app: Connection[Any]) -> timedelta:
    ((due_at, _),) = owed(app)
    return timedelta(seconds=(due_at - NOW).total_seconds())


def test_250_people_are_three_requests_and_every_mail_arrives(
    ledger: Ledger, app: Connection[Any], resend: ResendServer, provider: ResendProvider
) -> None:
    delivery = a_delivery(provider)
    work = stored(ledger, delivery, a_send(crowd(250), category="marketing", topic="news"))
    assert len(work) == 3
    for work_id in work:
        assert deliver(ledger, delivery, leased(ledger, work_id), now=NOW) == []
    assert sorted(map(len, resend.accepted.values())) == [50, 100, 100]
    assert {mail["to"][0] for mail in resend.mails} == {f"person{number}@mail.test" for number in range(250)}
    assert all(mail["headers"]["List-Unsubscribe-Post"] for mail in resend.mails)
    assert {status[1:] for status in statuses(app)} == {("sent", "")}
    known = app.execute("SELECT provider, provider_id FROM tidings.message_status ORDER BY id").fetchall()
    assert known == [("resend", f"mail-{number}") for number in range(250)]
    assert owed(app) == []
    assert resend.connections == 1


def test_one_bad_mail_is_refused_alone(
    ledger: Ledger, app: Connection[Any], resend: ResendServer, provider: ResendProvider
) -> None:
    people = [{"key": 1, "email": "a@mail.test"}, {"key": 2, "email": "b@example.com"}, {"key": 3, "email": "c@x.test"}]
    delivery = a_delivery(provider)
    (work_id,) = stored(ledger, delivery, a_send(people))
    deliver(ledger, delivery, leased(ledger, work_id), now=NOW)
    assert statuses(app) == [("1", "sent", ""), ("2", "failed", "refused"), ("3", "sent", "")]
    known = app.execute("SELECT provider_id, detail FROM tidings.message_status ORDER BY id").fetchall()
    assert [row[0] for row in known] == ["mail-0", None, "mail-1"]
    assert "testing email address" in known[1][1]
    assert len(resend.mails) == 2


@pytest.mark.parametrize(
    "fault",
    [
        refused(500, "application_error"),
        refused(500, "internal_server_error", takes=True),
        refused(503, "service_unavailable"),
        refused(409, "concurrent_idempotent_requests"),
        html(502),
        garbage(),
        garbage(takes=True),
        hang(),
        hang(takes=True),
        close(),
        close(takes=True),
    ],
)
def test_an_answer_that_is_lost_is_asked_for_again_with_the_same_key(
    ledger: Ledger, app: Connection[Any], resend: ResendServer, provider: ResendProvider, fault: Fault
) -> None:
    delivery = a_delivery(provider)
    (work_id,) = stored(ledger, delivery, a_send(crowd(2)))
    resend.misbehave(fault)
    deliver(ledger, delivery, leased(ledger, work_id), now=NOW)
    assert len(resend.mails) == 2 * fault.takes
    assert {status[1:] for status in statuses(app)} == {("queued", "unanswered")}
    assert timedelta(seconds=3.75) <= _due(app) <= timedelta(seconds=6.25)
    deliver(ledger, delivery, leased(ledger, work_id), now=NOW)
    assert {status[1:] for status in statuses(app)} == {("sent", "")}
    assert len(resend.mails) == 2
    first, second = (request for request in resend.requests)
    assert first.body == second.body
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]


def test_the_window_counts_from_the_first_attempt_that_may_have_been_taken(
    ledger: Ledger, app: Connection[Any], resend: ResendServer, provider: ResendProvider
) -> None:
    delivery = a_delivery(provider)
    (work_id,) = stored(ledger, delivery, a_send(crowd(1)))
    for fault in (html(502), rate_limited(), html(502)):
        resend.misbehave(fault)
        deliver(ledger, delivery, leased(ledger, work_id), now=NOW)
        app.execute("UPDATE tidings.provider_pause SET until = %s", (NOW,))
        app.execute("UPDATE tidings.delivery_batch SET first_attempt_at = first_attempt_at - interval '5 hours'")
    age = app.execute("SELECT extract(hour FROM clock_timestamp() - first_attempt_at) FROM tidings.delivery_batch")
    assert age.fetchall() == [(15,)]


def test_every_lost_answer_makes_the_wait_longer(
    ledger: Ledger, app: Connection[Any], resend: ResendServer, provider: ResendProvider
) -> None:
    delivery = a_delivery(provider)
    (work_id,) = stored(ledger, delivery, a_send(crowd(1)))
    for seconds in (5, 15, 45, 135):
        resend.misbehave(html(502))
        deliver(ledger, delivery, leased(ledger, work_id), now=NOW)
        assert 0.75 * seconds <= _due(app).total_seconds() <= 1.25 * seconds


def test_after_twenty_hours_nobody_knows_and_nothing_is_sent_again(
    ledger: Ledger, app: Connection[Any], resend: ResendServer, provider: ResendProvider
) -> None:
    delivery = a_delivery(provider)
    (work_id,) = stored(ledger, delivery, a_send(crowd(1)))
    resend.misbehave(hang(takes=True))
    deliver(ledger, delivery, leased(ledger, work_id), now=NOW)
    app.execute("UPDATE tidings.delivery_batch SET first_attempt_at = clock_timestamp() - interval '20 hours 1 second'")
    deliver(ledger, delivery, leased(ledger, work_id), now=NOW)
    assert statuses(app) == [("0", "uncertain", "unanswered")]
    assert len(resend.requests) == 1
    assert owed(app) == []


def test_a_rate_limit_holds_for_the_provider_as_long_as_it_said(
    ledger: Ledger, app: Connection[Any], resend: ResendServer, provider: ResendProvider
) -> None:
    delivery = a_delivery(provider)
    first, second = stored(ledger, delivery, a_send(crowd(150)))
    resend.misbehave(rate_limited(retry_after=7))
    deliver(ledger, delivery, leased(ledger, first), now=NOW)
    deliver(ledger, delivery, leased(ledger, second), now=NOW + timedelta(seconds=6))
    assert len(resend.requests) == 1  # the second was not even asked for
    assert {status[1:] for status in statuses(app)} == {("queued", "rate_limited")}
    assert all(timedelta(seconds=7) <= due - NOW <= timedelta(seconds=9) for due, _ in owed(app))
    counts = app.execute("SELECT attempts, first_attempt_at FROM tidings.delivery_batch").fetchall()
    assert counts == [(0, None), (0, None)]
    for work_id in (first, second):
        deliver(ledger, delivery, leased(ledger, work_id), now=NOW + timedelta(seconds=7))
    assert {status[1] for status in statuses(app)} == {"sent"}


@pytest.mark.parametrize("asked", [None, 7_200])
def test_a_quota_parks_everything_until_it_is_reset_and_is_seen(
    ledger: Ledger, app: Connection[Any], resend: ResendServer, provider: ResendProvider, asked: int | None
) -> None:
    delivery = a_delivery(provider)
    (work_id,) = stored(ledger, delivery, a_send(crowd(1)))
    resend.misbehave(quota("daily", asked))
    deliver(ledger, delivery, leased(ledger, work_id), now=NOW)
    assert statuses(app) == [("0", "held", "quota")]
    pause = timedelta(seconds=asked or 3_600)
    assert pause <= _due(app) <= pause + timedelta(seconds=2)
    known = app.execute("SELECT provider, until, reason FROM tidings.provider_pause").fetchall()
    assert known == [("resend", NOW + pause, "quota")]
    later = NOW + timedelta(days=3)  # longer than any idempotency window: nothing was taken, so nothing is in doubt
    app.execute("UPDATE tidings.delivery_batch SET created_at = created_at - interval '3 days'")
    deliver(ledger, delivery, leased(ledger, work_id), now=later)
    assert statuses(app) == [("0", "sent", "")]


@pytest.mark.parametrize(
    "fault",
    [
        refused(400, "validation_error", "No."),
        refused(401, "restricted_api_key", "No."),
        refused(403, "validation_error", "You can only send testing emails to your own address."),
        refused(404, "not_found", "No."),
        refused(409, "invalid_idempotent_request", "No."),
        refused(422, "invalid_from_address", "No."),
        refused(451, "security_error", "No."),
        html(404),
    ],
)
def test_what_can_not_get_better_fails_with_the_reason(
    ledger: Ledger, app: Connection[Any], resend: ResendServer, provider: ResendProvider, fault: Fault
) -> None:
    delivery = a_delivery(provider)
    (work_id,) = stored(ledger, delivery, a_send(crowd(1)))
    resend.misbehave(fault)
    deliver(ledger, delivery, leased(ledger, work_id), now=NOW)
    assert statuses(app) == [("0", "failed", "refused")]
    assert fault.answer is not None
    ((said,),) = app.execute("SELECT error FROM tidings.delivery_batch").fetchall()
    assert f"Resend answered {fault.answer.status}" in said
    assert owed(app) == []


def test_a_refusal_after_a_lost_answer_leaves_the_doubt(
    ledger: Ledger, app: Connection[Any], resend: ResendServer, provider: ResendProvider
) -> None:
    delivery = a_delivery(provider)
    (work_id,) = stored(ledger, delivery, a_send(crowd(1)))
    resend.misbehave(close(takes=True), refused(401, "invalid_api_key"))
    deliver(ledger, delivery, leased(ledger, work_id), now=NOW)
    deliver(ledger, delivery, leased(ledger, work_id), now=NOW)
    assert statuses(app) == [("0", "uncertain", "refused")]


def test_an_unreachable_resend_is_tried_for_a_day_and_then_given_up(ledger: Ledger, app: Connection[Any]) -> None:
    with ResendServer() as gone:
        url = gone.url
    provider = ResendProvider(API_KEY, url=url, timeout=_SOON)
    delivery = a_delivery(provider)
    (work_id,) = stored(ledger, delivery, a_send(crowd(1)))
    for attempt in range(1, 9):
        deliver(ledger, delivery, leased(ledger, work_id), now=NOW + timedelta(hours=3 * attempt - 1))
        assert statuses(app) == [("0", "queued", "refused")]
    deliver(ledger, delivery, leased(ledger, work_id), now=NOW + timedelta(hours=24))
    assert statuses(app) == [("0", "failed", "gave_up")]
    ((said,),) = app.execute("SELECT detail FROM tidings.message_status").fetchall()
    assert said.startswith("Given up after 9 attempts: Resend can't be reached")
    provider.close()


class _Killed(BaseException):
    """A worker dies."""


class _Dying(ResendProvider):
    """Dies between the provider's yes and the commit."""

    def send(self, *args: Any, **options: Any) -> Any:
        super().send(*args, **options)
        raise _Killed


def test_a_worker_that_dies_between_the_yes_and_the_commit_doubles_nothing(
    ledger: Ledger, app: Connection[Any], resend: ResendServer, provider: ResendProvider
) -> None:
    dying = _Dying(API_KEY, url=resend.url)
    (work_id,) = stored(ledger, a_delivery(dying), a_send(crowd(3)))
    with pytest.raises(_Killed):
        deliver(ledger, a_delivery(dying), leased(ledger, work_id), now=NOW)
    dying.close()
    state = app.execute("SELECT state, attempts, first_attempt_at IS NOT NULL FROM tidings.delivery_batch").fetchall()
    assert state == [("sending", 1, True)]
    assert {status[1] for status in statuses(app)} == {"queued"}
    deliver(ledger, a_delivery(provider), leased(ledger, work_id), now=NOW)
    assert {status[1] for status in statuses(app)} == {"sent"}
    assert len(resend.requests) == 2
    assert [len(mails) for mails in resend.accepted.values()] == [3]


def test_two_workers_on_one_work_send_it_once_and_the_slower_writes_nothing(
    ledger: Ledger, app: Connection[Any], resend: ResendServer
) -> None:
    patient = ResendProvider(API_KEY, url=resend.url, timeout=timedelta(seconds=5))
    delivery = a_delivery(patient)
    (work_id,) = stored(ledger, delivery, a_send(crowd(3)))
    gate = threading.Event()
    resend.misbehave(slow(gate))
    with ThreadPoolExecutor(1) as pool:
        slower = pool.submit(deliver, ledger, delivery, leased(ledger, work_id), now=NOW)
        _until(lambda: len(resend.requests) == 1)
        faster = leased(ledger, work_id)
        deliver(ledger, delivery, faster, now=NOW)  # 409: the same key is under way
        assert {status[1:] for status in statuses(app)} == {("queued", "unanswered")}
        gate.set()
        assert isinstance(slower.exception(5), LeaseLost)
    deliver(ledger, delivery, leased(ledger, work_id), now=NOW)
    assert {status[1] for status in statuses(app)} == {"sent"}
    assert [len(mails) for mails in resend.accepted.values()] == [3]
    patient.close()


def _until(holds: Any) -> None:
    patience = threading.Event()
    for _ in range(500):
        if holds():
            return
        patience.wait(0.01)
    raise AssertionError("it did not happen within five seconds")


def test_two_keys_in_one_process_do_not_mix() -> None:
    with ResendServer("re_one") as one, ResendServer("re_two") as two:
        providers = [ResendProvider(key, url=server.url) for key, server in (("re_one", one), ("re_two", two))]
        request = {
            "messages": [{"from": "a@shop.test", "to": ["b@mail.test"], "subject": "x", "text": "y", "headers": {}}]
        }

        def send(number: int) -> None:
            providers[number % 2].send(request, key=f"key {number}")

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(send, range(40)))
        assert sorted(map(len, (one.accepted, two.accepted))) == [20, 20]
        for provider in providers:
            provider.close()


@pytest.mark.parametrize(
    "change",
    ["UPDATE tidings.project SET mode = 'inbox'", "UPDATE tidings.project SET held_reason = 'copied'"],
)
def test_what_was_frozen_in_production_stays_when_the_project_leaves_it(
    ledger: Ledger, app: Connection[Any], resend: ResendServer, provider: ResendProvider, change: str
) -> None:
    delivery = a_delivery(provider)
    (work_id,) = stored(ledger, delivery, a_send(crowd(2)))
    app.execute(change)
    deliver(ledger, delivery, leased(ledger, work_id), now=NOW)
    assert {status[1:] for status in statuses(app)} == {("held", "mode")}
    assert resend.requests == []
    app.execute(
        "UPDATE tidings.project SET held_reason = NULL; INSERT INTO tidings.allowed_address VALUES (1, '@mail.test')"
    )
    deliver(ledger, delivery, leased(ledger, work_id), now=NOW)
    assert {status[1] for status in statuses(app)} == {"sent"}


def test_a_worker_without_the_key_leaves_the_mails_to_others(
    ledger: Ledger, app: Connection[Any], resend: ResendServer, provider: ResendProvider
) -> None:
    (work_id,) = stored(ledger, a_delivery(provider), a_send(crowd(1)))
    deliver(ledger, a_delivery(), leased(ledger, work_id), now=NOW)
    assert statuses(app) == [("0", "held", "no_provider")]
    deliver(ledger, a_delivery(provider), leased(ledger, work_id), now=NOW)
    assert statuses(app) == [("0", "sent", "")]
    assert len(resend.mails) == 1
