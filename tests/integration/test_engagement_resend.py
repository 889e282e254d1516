import hmac
import json
from base64 import b64decode, b64encode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest
import resend as sdk
from psycopg import Connection

from runtime.delivery.deliver import deliver
from runtime.delivery.resend_provider import ResendProvider
from runtime.engagement.resend_reports import Received, receive_report
from runtime.errors import NotAllowed, Temporary, TidingsError
from runtime.ledger.database import Ledger
from tests.outgoing import NOW, a_delivery, a_send, crowd, leased, statuses, stored
from tests.servers.far_end import close
from tests.servers.resend import API_KEY, ResendServer

_SECRET = "whsec_" + b64encode(b"a secret of twenty-four.").decode()
_OTHER = "whsec_" + b64encode(b"another secret, replaced").decode()


@pytest.fixture
def resend() -> Iterator[ResendServer]:
    with ResendServer() as server:
        yield server


@pytest.fixture
def sent(ledger: Ledger, resend: ResendServer) -> None:
    """Two mails that Resend took, mail-0 and mail-1."""
    _send(ledger, resend, 2)


def _send(ledger: Ledger, resend: ResendServer, count: int) -> None:
    provider = ResendProvider(API_KEY, url=resend.url)
    (work_id,) = stored(ledger, a_delivery(provider), a_send(crowd(count)))
    deliver(ledger, a_delivery(provider), leased(ledger, work_id), now=NOW)
    provider.close()


def _body(kind: str, mail: int = 0, *, at: datetime = NOW, **more: Any) -> bytes:
    data = {
        "email_id": f"mail-{mail}",
        "from": "Shop <hello@shop.test>",
        "to": [f"Person{mail}@mail.test"],
        "subject": "Hello you",
        "created_at": "2026-06-01T11:59:00.000Z",
        "message_id": "<1@shop.test>",
        **more,
    }
    return json.dumps({"type": f"email.{kind}", "created_at": at.isoformat(), "data": data}).encode()


def _signed(body: bytes, event_id: str = "msg_1", *, at: datetime = NOW, secret: str = _SECRET) -> dict[str, str]:
    stamp = str(int(at.timestamp()))
    key = b64decode(secret.removeprefix("whsec_"))
    signature = b64encode(hmac.digest(key, f"{event_id}.{stamp}.".encode() + body, sha256)).decode()
    return {"svix-id": event_id, "svix-timestamp": stamp, "svix-signature": f"v2,xyz v1,AAAA v1,{signature}"}


def _receive(ledger: Ledger, body: bytes, event_id: str = "msg_1") -> Received:
    return receive_report(ledger, body, _signed(body, event_id), secrets=[_SECRET], now=NOW)


@pytest.mark.usefixtures("sent")
def test_a_report_becomes_the_status_of_its_mail_once(ledger: Ledger, app: Connection[Any]) -> None:
    body = _body("delivered", 1)
    assert _receive(ledger, body) is Received.RECORDED
    assert _receive(ledger, body) is Received.KNOWN
    assert statuses(app) == [("0", "sent", ""), ("1", "delivered", "")]
    assert app.execute("SELECT count(*) FROM tidings.delivery_event").fetchone() == (1,)


@pytest.mark.usefixtures("sent")
def test_what_happened_last_counts_not_what_was_told_last(ledger: Ledger, app: Connection[Any]) -> None:
    bounce = {"type": "Permanent", "subType": "General", "message": "no such user"}
    later = _body("bounced", at=NOW + timedelta(seconds=9), bounce=bounce)
    assert _receive(ledger, later, "msg_2") is Received.RECORDED
    assert _receive(ledger, _body("delivered", at=NOW), "msg_1") is Received.RECORDED
    assert statuses(app)[0] == ("0", "bounced", "General")
    ((said,),) = app.execute("SELECT detail FROM tidings.message_status WHERE recipient_key = '0'").fetchall()
    assert said == "no such user"


@pytest.mark.usefixtures("sent")
@pytest.mark.parametrize(
    ("kind", "more", "reason"),
    [
        ("bounced", {"bounce": {"type": "Permanent", "subType": "General", "message": "x"}}, "bounced"),
        ("bounced", {"bounce": {"type": "Temporary", "subType": "MailboxFull", "message": "x"}}, None),
        ("complained", {}, "complained"),
        ("opened", {}, None),
        ("clicked", {"click": {"link": "https://shop.test/\x00", "ipAddress": "192.0.2.1"}}, None),
        ("failed", {"failed": {"reason": "reached_daily_quota"}}, None),
        ("suppressed", {"suppressed": {"message": "on the list", "type": "OnAccountSuppressionList"}}, None),
    ],
)
def test_a_bounce_for_ever_and_a_complaint_suppress_the_address(
    ledger: Ledger, app: Connection[Any], kind: str, more: dict[str, Any], reason: str | None
) -> None:
    assert _receive(ledger, _body(kind, **more)) is Received.RECORDED
    entries = app.execute("SELECT address, topic, reason, source FROM tidings.suppression").fetchall()
    assert entries == ([("person0@mail.test", "", reason, "resend msg_1")] if reason else [])
    ((recorded, detail),) = app.execute("SELECT kind, detail FROM tidings.delivery_event").fetchall()
    assert recorded == kind
    assert "192.0.2.1" not in json.dumps(detail)


@pytest.mark.usefixtures("sent")
@pytest.mark.parametrize("kind", ["sent", "scheduled", "delivery_delayed", "something_new"])
def test_kinds_that_say_nothing_are_ignored(ledger: Ledger, app: Connection[Any], kind: str) -> None:
    assert _receive(ledger, _body(kind)) is Received.IGNORED
    assert app.execute("SELECT count(*) FROM tidings.delivery_event").fetchone() == (0,)


@pytest.mark.usefixtures("sent")
def test_a_mail_of_another_application_is_ignored(ledger: Ledger, app: Connection[Any]) -> None:
    bounce = {"type": "Permanent", "subType": "General", "message": "x"}
    assert _receive(ledger, _body("bounced", 7, bounce=bounce)) is Received.IGNORED
    assert _receive(ledger, _body("bounced", 0, email_id="mail-1", bounce=bounce)) is Received.IGNORED
    assert app.execute("SELECT count(*) FROM tidings.suppression").fetchone() == (0,)


def test_a_report_that_is_faster_than_our_record_must_come_again(
    ledger: Ledger, app: Connection[Any], resend: ResendServer
) -> None:
    resend.misbehave(close(takes=True))
    _send(ledger, resend, 1)
    with pytest.raises(Temporary, match="still being sent"):
        _receive(ledger, _body("delivered"))
    provider = ResendProvider(API_KEY, url=resend.url)
    row = app.execute("SELECT id FROM tidings.work").fetchone()
    assert row is not None
    deliver(ledger, a_delivery(provider), leased(ledger, row[0]), now=NOW)
    assert _receive(ledger, _body("delivered")) is Received.RECORDED
    provider.close()


@pytest.mark.usefixtures("sent")
def test_only_the_right_bytes_with_a_right_signature_and_time_count(ledger: Ledger, app: Connection[Any]) -> None:
    body = _body("complained")
    right = _signed(body)
    wrong: list[tuple[bytes, dict[str, str], datetime]] = [
        (body + b" ", right, NOW),
        (body, right | {"svix-id": "msg_2"}, NOW),
        (body, right | {"svix-signature": "v1,AAAA"}, NOW),
        (body, right | {"svix-signature": ""}, NOW),
        (body, right | {"svix-timestamp": "soon"}, NOW),
        (body, right | {"svix-timestamp": "9" * 5_000}, NOW),
        (body, {}, NOW),
        (body, right, NOW + timedelta(seconds=301)),
        (body, right, NOW - timedelta(seconds=301)),
        (body, _signed(body, secret=_OTHER), NOW),
    ]
    for given, headers, now in wrong:
        with pytest.raises(NotAllowed):
            receive_report(ledger, given, headers, secrets=[_SECRET], now=now)
    with pytest.raises(NotAllowed):
        receive_report(ledger, body, right, secrets=[], now=NOW)
    assert app.execute("SELECT count(*) FROM tidings.delivery_event").fetchone() == (0,)
    for secrets in ([_OTHER, _SECRET], [_SECRET, _OTHER]):
        receive_report(ledger, body, right, secrets=secrets, now=NOW + timedelta(seconds=299))


def test_the_signature_is_the_one_that_resends_own_library_accepts() -> None:
    now = datetime.now(UTC)
    body = _body("opened", at=now)
    headers = _signed(body, at=now)
    named: Any = {name.removeprefix("svix-"): value for name, value in headers.items()}
    sdk.Webhooks.verify({"payload": body.decode(), "headers": named, "webhook_secret": _SECRET})


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"type": "email.opened"}', b'{"type": "email.opened", "data": {"to": 7}}']
)
def test_a_signed_report_that_can_not_be_read_is_told(ledger: Ledger, body: bytes) -> None:
    with pytest.raises(TidingsError, match="can't be read"):
        _receive(ledger, body)
