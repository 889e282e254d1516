from datetime import timedelta
from typing import Any

import pytest
from psycopg import Connection

from runtime.delivery.deliver import deliver
from runtime.delivery.unsubscribe_token import sign_unsubscribe
from runtime.engagement.unsubscribe import Standing, describe, unsubscribe
from runtime.errors import NotFound
from runtime.ledger.database import Ledger
from tests.outgoing import NOW, a_delivery, a_send, leased, statuses, stored

_ADA = {"key": "ada", "email": "Ada@mail.test"}


def _send(ledger: Ledger, app: Connection[Any], **changes: Any) -> str:
    """Send Ada something and return the token of the link in it."""
    for work_id in stored(ledger, a_delivery(), a_send([_ADA], **changes), mode="inbox"):
        deliver(ledger, a_delivery(), leased(ledger, work_id), now=NOW)
    row = app.execute("SELECT headers->>'List-Unsubscribe' FROM tidings.inbox ORDER BY message_id DESC").fetchone()
    return str(row and row[0]).rpartition("/")[2].removesuffix(">")


def _entries(app: Connection[Any]) -> list[tuple[Any, ...]]:
    return app.execute("SELECT address, topic, reason, source, at FROM tidings.suppression").fetchall()


def test_looking_at_a_link_changes_nothing(ledger: Ledger, app: Connection[Any]) -> None:
    token = _send(ledger, app, category="marketing", topic="news")
    assert describe(ledger, token) == Standing("ada@mail.test", "news", is_unsubscribed=False)
    assert _entries(app) == []


def test_unsubscribing_holds_from_now_on_for_that_topic_and_happens_once(ledger: Ledger, app: Connection[Any]) -> None:
    _send(ledger, app, category="marketing", topic="offers", run_id=2)
    token = _send(ledger, app, category="marketing", topic="news", run_id=3)
    for minutes in (0, 5):
        done = unsubscribe(ledger, token, now=NOW + timedelta(minutes=minutes))
        assert done == Standing("ada@mail.test", "news", is_unsubscribed=True)
    assert describe(ledger, token).is_unsubscribed
    assert _entries(app) == [("ada@mail.test", "news", "unsubscribed", "link", NOW)]
    events = app.execute(
        "SELECT m.run_id, e.kind, e.at, e.detail FROM tidings.delivery_event e"
        " JOIN tidings.message m ON m.project_id = e.project_id AND m.id = e.message_id"
    ).fetchall()
    assert events == [(3, "unsubscribed", NOW, {"topic": "news"})]
    _send(ledger, app, category="marketing", topic="news", run_id=4)
    _send(ledger, app, category="marketing", topic="offers", run_id=5)
    assert [status[1:] for status in statuses(app)].count(("suppressed", "unsubscribed")) == 1


def test_a_link_without_a_topic_ends_all_but_transactional_mail(ledger: Ledger, app: Connection[Any]) -> None:
    token = _send(ledger, app, category="product")
    unsubscribe(ledger, token, now=NOW)
    _send(ledger, app, category="marketing", topic="news", run_id=2)
    _send(ledger, app, category="transactional", run_id=3)
    fates = app.execute("SELECT run_id, outcome FROM tidings.message ORDER BY run_id").fetchall()
    assert fates == [(1, None), (2, "suppressed"), (3, None)]


def test_a_bounced_address_stays_bounced_when_it_unsubscribes(ledger: Ledger, app: Connection[Any]) -> None:
    token = _send(ledger, app, category="product")
    app.execute(
        "INSERT INTO tidings.suppression (project_id, address, reason, at)"
        " VALUES (1, 'ada@mail.test', 'bounced', now())"
    )
    assert unsubscribe(ledger, token, now=NOW).is_unsubscribed
    assert sorted(entry[2] for entry in _entries(app)) == ["bounced", "unsubscribed"]


def test_an_old_link_works_although_its_message_is_gone(ledger: Ledger, app: Connection[Any]) -> None:
    token = sign_unsubscribe(b"\x01", 1, "ada@mail.test", "news")
    assert unsubscribe(ledger, token, now=NOW).is_unsubscribed
    assert app.execute("SELECT count(*) FROM tidings.delivery_event").fetchone() == (0,)


@pytest.mark.parametrize(
    "token",
    ["", "nonsense", sign_unsubscribe(b"\x02", 1, "a@x.test", ""), sign_unsubscribe(b"\x01", 2, "a@x.test", "")],
)
def test_a_link_of_another_project_does_nothing(ledger: Ledger, app: Connection[Any], token: str) -> None:
    with pytest.raises(NotFound):
        describe(ledger, token)
    with pytest.raises(NotFound):
        unsubscribe(ledger, token, now=NOW)
    assert _entries(app) == []
