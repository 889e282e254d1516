from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from psycopg import Connection

from runtime.delivery.deliver import deliver
from runtime.delivery.slack_provider import SlackProvider
from runtime.ledger.database import Ledger
from tests.outgoing import NOW, a_delivery, a_send, leased, owed, statuses, stored
from tests.servers.far_end import Fault, close, garbage, hang, html
from tests.servers.slack import TOKEN, SlackServer, rate_limited, refused


@pytest.fixture
def slack() -> Iterator[SlackServer]:
    with SlackServer() as server:
        yield server


@pytest.fixture
def provider(slack: SlackServer) -> SlackProvider:
    return SlackProvider(TOKEN, url=slack.api_url, timeout=timedelta(seconds=1))


def _people(count: int = 1) -> list[dict[str, Any]]:
    return [{"key": number, "slack": f"#channel{number}"} for number in range(count)]


def test_a_message_is_posted_with_its_values_escaped(
    ledger: Ledger, app: Connection[Any], slack: SlackServer, provider: SlackProvider
) -> None:
    delivery = a_delivery(provider)
    names = {"new": {"id": "<!channel> & <https://evil.test|Log in>"}}
    (work_id,) = stored(ledger, delivery, a_send(_people(), names=names))
    deliver(ledger, delivery, leased(ledger, work_id), now=NOW)
    (message,) = slack.accepted
    assert message["channel"] == "#channel0"
    assert message["text"] == "Order &lt;!channel&gt; &amp; &lt;https://evil.test|Log in&gt;"
    assert statuses(app) == [("0", "sent", "")]
    known = app.execute("SELECT provider, provider_id FROM tidings.message_status").fetchall()
    assert known == [("slack", "C0LOCAL/1790000000.000001")]


@pytest.mark.parametrize(
    "fault",
    [
        hang(),
        hang(takes=True),
        close(),
        close(takes=True),
        html(502),
        garbage(),
        garbage(takes=True),
        refused("internal_error"),
        refused("fatal_error", takes=True),
        refused("<html>"),
    ],
)
def test_an_answer_that_is_lost_is_uncertain_and_never_asked_for_again(
    ledger: Ledger, app: Connection[Any], slack: SlackServer, provider: SlackProvider, fault: Fault
) -> None:
    delivery = a_delivery(provider)
    (work_id,) = stored(ledger, delivery, a_send(_people(2)))
    slack.misbehave(fault)
    deliver(ledger, delivery, leased(ledger, work_id), now=NOW)
    assert statuses(app) == [("0", "uncertain", "unanswered"), ("1", "sent", "")]
    assert owed(app) == []
    assert len(slack.requests) == 2
    assert len(slack.accepted) == 1 + fault.takes


@pytest.mark.parametrize("fault", [rate_limited(9), refused("ratelimited")])
def test_a_rate_limit_stops_the_rest_until_it_ends(
    ledger: Ledger, app: Connection[Any], slack: SlackServer, provider: SlackProvider, fault: Fault
) -> None:
    seconds = 9 if fault.answer and fault.answer.status == 429 else 30
    delivery = a_delivery(provider)
    (work_id,) = stored(ledger, delivery, a_send(_people(3)))
    slack.misbehave(fault)
    deliver(ledger, delivery, leased(ledger, work_id), now=NOW)
    assert len(slack.requests) == 1
    assert {status[1:] for status in statuses(app)} == {("queued", "rate_limited")}
    ((due_at, _),) = owed(app)
    assert timedelta(seconds=seconds) <= due_at - NOW <= timedelta(seconds=seconds + 2)
    deliver(ledger, delivery, leased(ledger, work_id), now=due_at)
    assert [message["channel"] for message in slack.accepted] == ["#channel0", "#channel1", "#channel2"]
    assert owed(app) == []


@pytest.mark.parametrize(
    "error", ["channel_not_found", "not_in_channel", "is_archived", "invalid_auth", "msg_too_long"]
)
def test_a_refusal_fails_with_slacks_word_for_it(
    ledger: Ledger, app: Connection[Any], slack: SlackServer, provider: SlackProvider, error: str
) -> None:
    delivery = a_delivery(provider)
    (work_id,) = stored(ledger, delivery, a_send(_people(2)))
    slack.misbehave(refused(error))
    deliver(ledger, delivery, leased(ledger, work_id), now=NOW)
    assert statuses(app) == [("0", "failed", "refused"), ("1", "sent", "")]
    details = app.execute("SELECT detail FROM tidings.message_status ORDER BY id").fetchall()
    assert details == [(f"Slack answered 200 {error}",), ("",)]


def test_the_contract_is_what_refuses_a_wrong_token_and_channel(
    ledger: Ledger, app: Connection[Any], slack: SlackServer
) -> None:
    slack.channels = frozenset({"#channel1"})
    wrong = SlackProvider("xoxb-wrong", url=slack.api_url)
    right = SlackProvider(TOKEN, url=slack.api_url)
    for run_id, provider in enumerate((wrong, right)):
        delivery = a_delivery(provider)
        (work_id,) = stored(ledger, delivery, a_send(_people(2), run_id=run_id))
        deliver(ledger, delivery, leased(ledger, work_id), now=NOW)
    errors = app.execute("SELECT detail FROM tidings.message_status ORDER BY run_id, recipient_key").fetchall()
    assert errors == [
        ("Slack answered 200 invalid_auth",),
        ("Slack answered 200 invalid_auth",),
        ("Slack answered 200 channel_not_found",),
        ("",),
    ]


def test_an_unreachable_slack_and_one_that_says_later_are_tried_again(ledger: Ledger, app: Connection[Any]) -> None:
    with SlackServer() as gone:
        url = gone.api_url
    provider = SlackProvider(TOKEN, url=url)
    delivery = a_delivery(provider)
    (work_id,) = stored(ledger, delivery, a_send(_people()))
    deliver(ledger, delivery, leased(ledger, work_id), now=NOW)
    assert statuses(app) == [("0", "queued", "refused")]
    with SlackServer() as back:
        there = a_delivery(SlackProvider(TOKEN, url=back.api_url))
        back.misbehave(refused("service_unavailable"))
        deliver(ledger, there, leased(ledger, work_id), now=NOW)
        assert statuses(app) == [("0", "queued", "refused")]
        deliver(ledger, there, leased(ledger, work_id), now=NOW)
    assert statuses(app) == [("0", "sent", "")]


class _Killed(BaseException):
    """A worker dies."""


class _Dying(SlackProvider):
    """Dies between Slack's yes and the commit."""

    def send(self, *args: Any, **options: Any) -> Any:
        super().send(*args, **options)
        raise _Killed


def test_a_worker_that_dies_leaves_the_message_uncertain(
    ledger: Ledger, app: Connection[Any], slack: SlackServer, provider: SlackProvider
) -> None:
    dying = _Dying(TOKEN, url=slack.api_url)
    (work_id,) = stored(ledger, a_delivery(dying), a_send(_people(2)))
    with pytest.raises(_Killed):
        deliver(ledger, a_delivery(dying), leased(ledger, work_id), now=NOW)
    deliver(ledger, a_delivery(provider), leased(ledger, work_id), now=NOW)
    assert statuses(app) == [("0", "uncertain", "interrupted"), ("1", "sent", "")]
    assert [message["channel"] for message in slack.accepted] == ["#channel0", "#channel1"]
