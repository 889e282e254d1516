from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from psycopg import Connection
from psycopg.errors import UniqueViolation

from runtime.delivery.deliver import deliver
from runtime.delivery.prepare import prepare
from runtime.delivery.store import store
from runtime.delivery.suppression import NOBODY, read_suppressions
from runtime.ledger.database import Ledger
from runtime.ledger.work import LeaseLost, add, finish, keep, lease, postpone
from tests.outgoing import NOW, a_delivery, a_policy, a_send, crowd, leased, owed, statuses, stored


def _deliver_all(ledger: Ledger, work_ids: list[int]) -> None:
    for work_id in work_ids:
        assert deliver(ledger, a_delivery(), leased(ledger, work_id), now=NOW) == []


def test_a_mail_lies_in_the_inbox_and_its_status_is_sent(ledger: Ledger, app: Connection[Any]) -> None:
    people: list[dict[str, Any]] = [
        {"key": 1, "email": "ada@mail.test", "name": "Ada"},
        {"key": 2, "slack": "#ops"},
        {"key": 3},
    ]
    work = stored(ledger, a_delivery(), a_send(people, category="product"), mode="inbox")
    assert statuses(app) == [("1", "queued", ""), ("2", "queued", ""), ("3", "failed", "no_address")]
    _deliver_all(ledger, work)
    assert statuses(app) == [("1", "sent", ""), ("2", "sent", ""), ("3", "failed", "no_address")]
    mail, message = app.execute(
        "SELECT channel, sender, recipient, subject, html, text, headers, delivered_at FROM tidings.inbox ORDER BY 1"
    ).fetchall()
    assert mail[:4] == ("email", "Shop <hello@shop.test>", "ada@mail.test", "Hello Ada")
    assert mail[4].startswith("<p>Order 7 for Ada</p>")
    assert "List-Unsubscribe" in mail[6]
    assert mail[7] == NOW
    assert message == ("slack", "", "#ops", "", "", "Order 7", {}, NOW)
    assert owed(app) == []


def test_a_thousand_people_are_a_few_pieces_of_work(ledger: Ledger, app: Connection[Any]) -> None:
    work = stored(ledger, a_delivery(), a_send(crowd(1_050)), mode="inbox")
    assert len(work) == 2
    _deliver_all(ledger, work)
    rows = app.execute("SELECT recipient, subject FROM tidings.inbox ORDER BY message_id").fetchall()
    assert rows == [(f"person{number}@mail.test", "Hello you") for number in range(1_050)]


def test_what_was_stored_once_is_not_stored_again(ledger: Ledger, app: Connection[Any]) -> None:
    stored(ledger, a_delivery(), a_send(crowd(2)), mode="inbox")
    with pytest.raises(UniqueViolation):
        stored(ledger, a_delivery(), a_send([{"key": 9, "email": "new@mail.test"}, *crowd(1)]), mode="inbox")
    assert [status[0] for status in statuses(app)] == ["0", "1"]
    assert app.execute("SELECT count(*) FROM tidings.delivery_batch").fetchone() == (1,)


def test_nothing_is_stored_when_the_caller_changes_their_mind(ledger: Ledger, app: Connection[Any]) -> None:
    with ledger.connection() as conn, conn.transaction(force_rollback=True):
        assert len(store(conn, 1, prepare([a_send(crowd(2))], a_policy(), NOBODY, now=NOW), now=NOW)) == 1
    assert statuses(app) == []
    assert owed(app) == []


def test_work_done_twice_delivers_once(ledger: Ledger, app: Connection[Any]) -> None:
    (work_id,) = stored(ledger, a_delivery(), a_send(crowd(3)), mode="inbox")
    first = leased(ledger, work_id)
    second = leased(ledger, work_id)
    with ThreadPoolExecutor(2) as pool:
        results = [pool.submit(deliver, ledger, a_delivery(), work, now=NOW) for work in (first, second)]
    assert isinstance(results[0].exception(), LeaseLost)
    assert results[1].result() == []
    assert app.execute("SELECT count(*), count(DISTINCT message_id) FROM tidings.inbox").fetchone() == (3, 3)


def test_what_is_in_the_inbox_is_not_put_there_by_another_work_again(ledger: Ledger, app: Connection[Any]) -> None:
    (work_id,) = stored(ledger, a_delivery(), a_send(crowd(3)), mode="inbox")
    work = leased(ledger, work_id)
    with ledger.connection() as conn:
        (another,) = add(conn, 1, "deliver", [work.ids], NOW)
    deliver(ledger, a_delivery(), work, now=NOW)
    deliver(ledger, a_delivery(), leased(ledger, another), now=NOW)
    assert app.execute("SELECT count(*) FROM tidings.inbox").fetchone() == (3,)
    assert owed(app) == []


def test_the_suppression_list_is_read_with_one_query_for_all(ledger: Ledger, app: Connection[Any]) -> None:
    app.execute(
        "INSERT INTO tidings.suppression (project_id, address, topic, reason, at) VALUES"
        " (1, 'person1@mail.test', '', 'bounced', now()), (1, 'person2@mail.test', 'news', 'unsubscribed', now()),"
        " (1, 'person2@mail.test', '', 'complained', now()), (1, 'stranger@mail.test', '', 'bounced', now())"
    )
    sends = [a_send(crowd(2)), a_send([{"email": "PERSON2@mail.test"}, {"email": "no address"}], run_id=2)]
    with ledger.connection() as conn:
        found = read_suppressions(conn, 1, sends)
        assert read_suppressions(conn, 2, sends).entries == {}
    assert set(found.entries) == {"person1@mail.test", "person2@mail.test"}
    assert sorted(found.entries["person2@mail.test"]) == [("", "complained"), ("news", "unsubscribed")]
    stored(ledger, a_delivery(), *sends, mode="inbox")
    assert ("1", "suppressed", "suppressed") in statuses(app)


def test_a_lease_shuts_out_everybody_until_it_ends(ledger: Ledger, app: Connection[Any]) -> None:
    (work_id,) = stored(ledger, a_delivery(), a_send(crowd(1)), mode="inbox")
    with ledger.transaction() as conn:
        work = lease(conn, 1, work_id, timedelta(seconds=60))
        assert work is not None
        assert (work.kind, len(work.ids), work.slot, work.attempts) == ("deliver", 1, None, 1)
        assert lease(conn, 1, work_id, timedelta(seconds=60)) is None
        postpone(conn, 1, work, NOW + timedelta(hours=1))
        assert owed(app) == [(NOW, 0)]
    assert owed(app) == [(NOW + timedelta(hours=1), 1)]
    later = leased(ledger, work_id)
    with ledger.connection() as conn:
        with pytest.raises(LeaseLost, match="taken over"):
            finish(conn, 1, work)
        with pytest.raises(LeaseLost, match="taken over"):
            postpone(conn, 1, work, NOW)
        with pytest.raises(LeaseLost, match="taken over"):
            keep(conn, 1, work, timedelta(seconds=1))
    with ledger.transaction() as conn:
        finish(conn, 1, later)
    assert owed(app) == []
