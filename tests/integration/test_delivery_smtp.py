from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from psycopg import Connection

from runtime.delivery.deliver import deliver
from runtime.delivery.smtp_provider import SmtpProvider, read_smtp_url
from runtime.errors import Permanent, Temporary, TidingsError
from runtime.ledger.database import Ledger
from runtime.ledger.work import LeaseLost
from tests.outgoing import MAIL, NOW, a_delivery, a_send, crowd, leased, owed, statuses, stored
from tests.servers.certificate import client_side, make_certificate, server_side
from tests.servers.smtp import Fault, SmtpServer, close, hang, refuse

_SOON = timedelta(seconds=0.3)


@pytest.fixture
def smtp() -> Iterator[SmtpServer]:
    with SmtpServer() as smtp:
        yield smtp


@pytest.fixture
def provider(smtp: SmtpServer) -> Iterator[SmtpProvider]:
    provider = SmtpProvider(f"smtp://127.0.0.1:{smtp.port}", timeout=_SOON, patience=_SOON)
    yield provider
    provider.close()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("certificate"))


def _mail(**changes: Any) -> dict[str, Any]:
    mail = {
        "from": "Shop <hello@shop.test>",
        "to": ["ada@mail.test"],
        "subject": "Hi",
        "html": "<p>Hi</p>",
        "text": "Hi",
        "headers": {"Message-ID": "<1@shop.test>", "Date": "Mon, 01 Jun 2026 12:00:00 +0000"},
    }
    return {"messages": [mail | changes]}


def test_a_mail_arrives_as_it_was_frozen(
    ledger: Ledger, app: Connection[Any], smtp: SmtpServer, provider: SmtpProvider
) -> None:
    text = ".starts with a dot\n..and two\n" + "lang " * 400 + "\nSeñor ✓"
    html = f"<p>{text}</p>\n<p>{'x' * 3_000}</p>"
    words = MAIL.model_copy(update={"subject": "Grüße an {{ recipient.name }}", "html": html, "text": text})
    people = [{"key": 1, "email": "ada@mail.test", "name": "Ada, the 1st — " + "ü" * 90}]
    delivery = a_delivery(provider)
    (work_id,) = stored(ledger, delivery, a_send(people, category="marketing", topic="news", texts=(words,)))
    deliver(ledger, delivery, leased(ledger, work_id), now=NOW)
    (mail,) = smtp.accepted
    assert (mail.sender, mail.recipients) == ("hello@shop.test", ("ada@mail.test",))
    message = mail.message
    assert message["subject"] == "Grüße an Ada, the 1st — " + "ü" * 90
    assert (message["from"], message["to"]) == ("Shop <hello@shop.test>", "ada@mail.test")
    assert message["date"].datetime == NOW
    ((frozen,),) = app.execute("SELECT request->'messages'->0 FROM tidings.delivery_batch").fetchall()
    assert {name: str(message[name]) for name in frozen["headers"]} == frozen["headers"]
    raw = b"\r\nList-Unsubscribe: " + frozen["headers"]["List-Unsubscribe"].encode() + b"\r\n"
    assert raw in mail.data  # neither folded nor encoded: mail programs would not find the link
    plain, rich = (message.get_body((kind,)) for kind in ("plain", "html"))
    assert plain is not None
    assert rich is not None
    assert plain.get_content().splitlines() == frozen["text"].splitlines()
    assert rich.get_content().splitlines() == html.splitlines()
    assert statuses(app) == [("1", "sent", "")]


def test_many_mails_share_a_connection_and_a_few_pieces_of_work(
    ledger: Ledger, app: Connection[Any], smtp: SmtpServer, provider: SmtpProvider
) -> None:
    delivery = a_delivery(provider)
    work = stored(ledger, delivery, a_send(crowd(45)))
    assert len(work) == 3
    for work_id in work:
        deliver(ledger, delivery, leased(ledger, work_id), now=NOW)
    assert [mail.recipients[0] for mail in smtp.accepted] == [f"person{number}@mail.test" for number in range(45)]
    assert len({mail.message["message-id"] for mail in smtp.accepted}) == 45
    assert smtp.connections == 1
    assert owed(app) == []


@pytest.mark.parametrize(
    "fault",
    [
        refuse("connect", 421, "too many"),
        close("ehlo"),
        close("connect"),
        hang("connect"),
        refuse("mail", 451, "4.3.0 later"),
        close("mail"),
        refuse("rcpt", 450, "4.2.0 greylisted"),
        hang("rcpt"),
        close("rcpt"),
        refuse("data", 451, "4.3.0 later"),
        close("data"),
        refuse("end", 451, "4.7.1 later"),
    ],
)
def test_what_was_surely_not_taken_is_tried_again(
    ledger: Ledger, app: Connection[Any], smtp: SmtpServer, provider: SmtpProvider, fault: Fault
) -> None:
    delivery = a_delivery(provider)
    (work_id,) = stored(ledger, delivery, a_send(crowd(1)))
    smtp.misbehave(fault)
    deliver(ledger, delivery, leased(ledger, work_id), now=NOW)
    assert statuses(app) == [("0", "queued", "refused")]
    assert app.execute("SELECT first_attempt_at FROM tidings.delivery_batch").fetchall() == [(None,)]
    ((due_at, _),) = owed(app)
    assert timedelta(seconds=3.75) <= due_at - NOW <= timedelta(seconds=6.25)
    deliver(ledger, delivery, leased(ledger, work_id), now=NOW)
    assert statuses(app) == [("0", "sent", "")]
    assert len(smtp.accepted) == 1


@pytest.mark.parametrize(
    "fault",
    [
        refuse("mail", 550, "5.7.1 no relay"),
        refuse("rcpt", 550, "5.1.1 no such user"),
        refuse("data", 554, "5.5.1 no"),
        refuse("end", 554, "5.7.1 spam"),
    ],
)
def test_a_refusal_for_ever_fails_with_the_servers_words(
    ledger: Ledger, app: Connection[Any], smtp: SmtpServer, provider: SmtpProvider, fault: Fault
) -> None:
    delivery = a_delivery(provider)
    (work_id,) = stored(ledger, delivery, a_send(crowd(2)))
    smtp.misbehave(fault)
    deliver(ledger, delivery, leased(ledger, work_id), now=NOW)
    assert statuses(app) == [("0", "failed", "refused"), ("1", "sent", "")]
    details = app.execute("SELECT detail FROM tidings.message_status ORDER BY id").fetchall()
    assert details == [(f"The mail server answered {fault.answer}",), ("",)]


@pytest.mark.parametrize("fault", [hang("end"), hang("end", takes=True), close("end"), close("end", takes=True)])
def test_silence_after_the_data_is_uncertain_and_never_sent_again(
    ledger: Ledger, app: Connection[Any], smtp: SmtpServer, provider: SmtpProvider, fault: Fault
) -> None:
    delivery = a_delivery(provider)
    (work_id,) = stored(ledger, delivery, a_send(crowd(2)))
    smtp.misbehave(fault)
    deliver(ledger, delivery, leased(ledger, work_id), now=NOW)
    assert statuses(app) == [("0", "uncertain", "unanswered"), ("1", "sent", "")]
    assert owed(app) == []
    assert len(smtp.accepted) == 1 + fault.takes


class _Killed(BaseException):
    """A worker dies."""


class _Dying(SmtpProvider):
    """Dies between the server's yes and the commit, at the second mail."""

    sent = 0

    def send(self, *args: Any, **options: Any) -> Any:
        answer = super().send(*args, **options)
        self.sent += 1
        if self.sent == 2:
            raise _Killed
        return answer


def test_a_worker_that_dies_leaves_one_mail_uncertain_and_the_others_go_out_once(
    ledger: Ledger, app: Connection[Any], smtp: SmtpServer, provider: SmtpProvider
) -> None:
    dying = _Dying(f"smtp://127.0.0.1:{smtp.port}")
    (work_id,) = stored(ledger, a_delivery(dying), a_send(crowd(4)))
    with pytest.raises(_Killed):
        deliver(ledger, a_delivery(dying), leased(ledger, work_id), now=NOW)
    dying.close()
    deliver(ledger, a_delivery(provider), leased(ledger, work_id), now=NOW)
    assert statuses(app) == [
        ("0", "sent", ""),
        ("1", "uncertain", "interrupted"),
        ("2", "sent", ""),
        ("3", "sent", ""),
    ]
    assert [mail.recipients[0] for mail in smtp.accepted] == [f"person{number}@mail.test" for number in range(4)]


class _Overtaken(SmtpProvider):
    """Sends so slowly that another worker takes the work over."""

    def __init__(self, url: str, overtake: Callable[[], object]) -> None:
        super().__init__(url)
        self.overtake = overtake

    def send(self, *args: Any, **options: Any) -> Any:
        self.overtake()
        return super().send(*args, **options)


def test_a_worker_that_was_overtaken_sends_nothing_more(
    ledger: Ledger, app: Connection[Any], smtp: SmtpServer, provider: SmtpProvider
) -> None:
    (work_id,) = stored(ledger, a_delivery(provider), a_send(crowd(3)))
    first = leased(ledger, work_id)
    kept = []

    def overtake() -> None:
        kept.append(app.execute("SELECT lease_until - clock_timestamp() FROM tidings.work").fetchone())
        deliver(ledger, a_delivery(provider), leased(ledger, work_id), now=NOW)

    slow = _Overtaken(f"smtp://127.0.0.1:{smtp.port}", overtake)
    with pytest.raises(LeaseLost):
        deliver(ledger, a_delivery(slow), first, now=NOW)
    slow.close()
    assert statuses(app) == [("0", "uncertain", "interrupted"), ("1", "sent", ""), ("2", "sent", "")]
    assert [mail.recipients[0] for mail in smtp.accepted] == [f"person{number}@mail.test" for number in (1, 2, 0)]
    assert kept[0] is not None
    assert kept[0][0] > timedelta(seconds=80)


def test_a_connection_that_died_idle_is_replaced_without_a_lost_mail(smtp: SmtpServer, provider: SmtpProvider) -> None:
    provider.send(_mail(), key="")
    smtp.hang_up()
    provider.send(_mail(), key="")
    smtp.misbehave(refuse("mail", 421, "idle too long"))
    provider.send(_mail(), key="")
    assert len(smtp.accepted) == 3
    assert smtp.connections == 3


@pytest.mark.parametrize(("scheme", "implicit"), [("smtps", True), ("smtp+starttls", False)])
def test_the_password_travels_encrypted(certificate: Path, scheme: str, implicit: bool) -> None:
    with SmtpServer(tls=server_side(certificate), implicit=implicit, user="shop@host") as smtp:
        url = f"{scheme}://shop%40host:secret@localhost:{smtp.port}"
        provider = SmtpProvider(url, timeout=timedelta(seconds=5), trust=client_side(certificate))
        provider.send(_mail(), key="")
        assert [(mail.encrypted, mail.user) for mail in smtp.accepted] == [(True, "shop@host")]
        provider.close()
        wrong = SmtpProvider(url.replace("secret", "guess"), trust=client_side(certificate))
        with pytest.raises(Permanent, match="535") as refused:
            wrong.send(_mail(), key="")
        assert "guess" not in str(refused.value)
        distrusting = SmtpProvider(url)
        with pytest.raises(Temporary, match="certificate"):
            distrusting.send(_mail(), key="")
    assert len(smtp.accepted) == 1


def test_encryption_that_was_asked_for_is_not_done_without(smtp: SmtpServer) -> None:
    provider = SmtpProvider(f"smtp+starttls://127.0.0.1:{smtp.port}")
    with pytest.raises(Permanent, match="STARTTLS"):
        provider.send(_mail(), key="")
    assert smtp.accepted == []


def test_header_values_are_guarded_once_more_on_the_wire(smtp: SmtpServer, provider: SmtpProvider) -> None:
    evil = "=?utf-8?q?Hi=0ABcc:_evil?="
    headers = {"Message-ID": "<1@shop.test>", "X-Evil": "a\r\nBcc: evil@mail.test"}
    provider.send(_mail(**{"subject": evil, "from": f"{evil} <hello@shop.test>", "headers": headers}), key="")
    (mail,) = smtp.accepted
    assert "bcc" not in mail.message
    assert {name.lower() for name in mail.message} >= {"subject", "x-evil"}
    assert b"\nBcc" not in mail.data
    assert b"\r\nBcc" not in mail.data


def test_the_same_mail_is_the_same_bytes(smtp: SmtpServer, provider: SmtpProvider) -> None:
    provider.send(_mail(), key="")
    provider.send(_mail(), key="")
    assert smtp.accepted[0].data == smtp.accepted[1].data


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("smtp://mail.test", ("smtp", "mail.test", 25, "", "")),
        ("smtp+starttls://u:secret@mail.test", ("smtp+starttls", "mail.test", 587, "u", "secret")),
        ("smtps://u%40x:p%2F%3A@mail.test:9465", ("smtps", "mail.test", 9465, "u@x", "p/:")),
    ],
)
def test_the_url_says_where_and_how(url: str, server: tuple[Any, ...]) -> None:
    found = read_smtp_url(url)
    assert (found.scheme, found.host, found.port, found.user, found.password) == server
    assert not found.password or found.password not in repr(found)


@pytest.mark.parametrize("url", ["http://mail.test", "smtp://", "smtps+starttls://mail.test"])
def test_another_url_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(TidingsError, match="TIDINGS_SMTP_URL"):
        read_smtp_url(url)
