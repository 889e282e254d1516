"""Delivery reports arrive at the console; what they mean is tested with `runtime.engagement`."""

import hmac
import json
from base64 import b64decode, b64encode
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import pytest
from psycopg import Connection
from starlette.testclient import TestClient

from runtime.console.desk import Desk
from runtime.delivery.deliver import deliver
from runtime.delivery.resend_provider import ResendProvider
from runtime.ledger.database import Ledger
from runtime.source.reader import Source
from tests.consoles import TOKEN, stranger
from tests.outgoing import NOW, a_delivery, a_send, crowd, leased, statuses, stored
from tests.servers.resend import API_KEY, ResendServer

SECRET = "whsec_" + b64encode(b"a secret of twenty-four.").decode()
PATH = "/webhooks/resend"


@pytest.fixture
def desk(ledger: Ledger, source: Source, database: str) -> Desk:
    secrets = ("whsec_" + b64encode(b"the one before").decode(), SECRET)
    public = "https://hooks.test"
    return Desk(ledger, source, database, TOKEN, "bea", public_url=public, report_secrets=secrets)


@pytest.fixture
def provider(desk: Desk) -> Iterator[TestClient]:
    """Resend's side: it has no token, only the secret."""
    with stranger(desk, base="https://hooks.test") as client:
        yield client


@pytest.fixture
def sent(ledger: Ledger) -> Iterator[None]:
    """A mail that Resend took."""
    with ResendServer() as server:
        provider = ResendProvider(API_KEY, url=server.url)
        (work_id,) = stored(ledger, a_delivery(provider), a_send(crowd(1)))
        deliver(ledger, a_delivery(provider), leased(ledger, work_id), now=NOW)
        provider.close()
        yield


def _body(kind: str = "delivered", **more: Any) -> bytes:
    data = {"email_id": "mail-0", "to": ["person0@mail.test"], **more}
    return json.dumps({"type": f"email.{kind}", "created_at": datetime.now(UTC).isoformat(), "data": data}).encode()


def _signed(body: bytes) -> dict[str, str]:
    stamp = str(int(datetime.now(UTC).timestamp()))
    signed = hmac.digest(b64decode(SECRET.removeprefix("whsec_")), f"msg_1.{stamp}.".encode() + body, sha256)
    return {"svix-id": "msg_1", "svix-timestamp": stamp, "svix-signature": f"v1,{b64encode(signed).decode()}"}


@pytest.mark.usefixtures("sent")
def test_a_report_with_a_right_signature_is_recorded_once(provider: TestClient, app: Connection[Any]) -> None:
    body = _body()
    answers = [provider.post(PATH, content=body, headers=_signed(body)) for _ in range(2)]
    assert [(answer.status_code, answer.text) for answer in answers] == [(200, "recorded\n"), (200, "known\n")]
    assert statuses(app) == [("0", "delivered", "")]


@pytest.mark.usefixtures("sent")
def test_any_other_report_changes_nothing(provider: TestClient, desk: Desk, app: Connection[Any]) -> None:
    body = _body("complained")
    assert provider.post(PATH, content=body).status_code == 403
    assert provider.post(PATH, content=body + b" ", headers=_signed(body)).status_code == 403
    assert provider.post(PATH, content=b"x" * 300_000).status_code == 413
    assert provider.post(PATH, content=b"{}", headers=_signed(b"{}")).status_code == 422
    assert provider.get(PATH).status_code == 405
    without = Desk(desk.ledger, desk.source, desk.installer_url, TOKEN, "bea")
    with stranger(without) as client:
        assert client.post(PATH, content=body, headers=_signed(body)).status_code == 404
    assert app.execute("SELECT count(*) FROM tidings.delivery_event").fetchone() == (0,)


@pytest.mark.usefixtures("sent")
def test_a_report_that_comes_too_early_is_asked_for_again(provider: TestClient, app: Connection[Any]) -> None:
    app.execute("UPDATE tidings.delivery_batch SET provider_ids = '{}', state = 'sending', finished_at = NULL")
    body = _body()
    answer = provider.post(PATH, content=body, headers=_signed(body))
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "60"
