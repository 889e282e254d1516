"""Erasure: nothing in the ledger names the address, nobody else loses anything, and what is owed is not broken."""

import json
from typing import Any

import pytest
from psycopg import Connection

from runtime.clock import VirtualClock
from runtime.delivery.address import BadAddress
from runtime.engine.forget import Held, erase, find_address
from runtime.engine.why import explain
from runtime.ledger.database import Ledger
from runtime.source.reader import Source
from tests.engine_runs import Shop
from tests.publishing import SEND, spec

pytestmark = pytest.mark.usefixtures("approved")
ANA = "Ana.O'Neil+x@x.test"
"""With capitals, and with what HTML and links write otherwise."""
LOOKS_LIKE = "dana.o'neil+x@x.test"
ONE = {
    **SEND,
    "to": "SELECT c.email FROM shop.customers c WHERE c.id = new.customer_id",
    "texts": [{"subject": "Order {{ new.id }}", "body": "For {{ recipient.email }}"}],
}
ALL = {**SEND, "send": "all", "to": "SELECT c.id AS key, c.email FROM shop.customers c ORDER BY c.id"}
OPS = {
    "send": "report",
    "to": "SELECT s.email FROM shop.staff s",
    "channels": ["email"],
    "texts": [{"subject": "Report {{ new.id }}", "body": "{{ q[0].email }} has https://x.test/?who={{ q[0].email }}"}],
}
ASK = {"query": "q", "sql": "SELECT c.email FROM shop.customers c WHERE c.id = new.customer_id"}
PRO = {"change": "shop.customers", "becomes": "plan = 'pro'", "when": "new.email <> 'a'"}
LEDGER = (
    *("event", "run", "step_result", "dead_letter", "delivery_batch", "shared_words", "inbox", "delivery_event"),
    *("message", "outbox_key", "erasure"),
)


@pytest.fixture
def shop(app: Connection[Any], ledger: Ledger, source: Source, database: str, clock: VirtualClock) -> Shop:
    shop = Shop.furnished(app, ledger, source, database, clock)
    app.execute("UPDATE shop.customers SET email = %s WHERE id = 1", (ANA,))
    app.execute("UPDATE shop.customers SET email = %s WHERE id = 2", (LOOKS_LIKE,))
    return shop


def _erase(shop: Shop, address: str = ANA, **more: Any) -> Held:
    held = find_address(shop.engine.ledger, address)
    erase(shop.engine.ledger, held, by="bea", now=shop.clock.now(), **more)
    return held


def _naming(shop: Shop, *words: str) -> list[str]:
    """Return the tables of the ledger that hold one of the words anywhere."""
    question = "SELECT count(*) AS n FROM tidings.{} t WHERE lower(to_jsonb(t)::text) LIKE ANY(%(words)s)"
    likes = [f"%{word.lower()}%" for word in words]
    return [name for name in LEDGER if shop.rows(question.format(name), words=likes)[0]["n"]]


def _everything_happens(shop: Shop) -> None:
    """Let the address come into every table that it may come into."""
    shop.publish(spec(steps=[ASK, ONE, OPS, ALL]))
    shop.publish(spec("upgraded", trigger=PRO, steps=[{**OPS, "texts": [{"subject": "Pro", "body": "x"}]}]))
    shop.write("UPDATE shop.orders SET status = 'shipped'; UPDATE shop.customers SET plan = 'pro'")
    shop.app.execute(
        "INSERT INTO tidings.delivery_event (project_id, message_id, kind, at, detail)"
        " SELECT 1, id, 'bounced', now(), jsonb_build_object('reason', 'NoMailbox', 'message', 'No ' || address)"
        " FROM tidings.message WHERE address LIKE 'Ana%'"
    )
    shop.app.execute(
        "INSERT INTO tidings.dead_letter (project_id, stage, error, payload) VALUES (1, 'match', 'x', %s)",
        (json.dumps({"key": {"id": 9}, "new": {"mail": f"Ana <{ANA}>"}}),),
    )
    shop.app.execute(
        "INSERT INTO tidings.shared_words (project_id, content, created_at) VALUES (1, %s, now())",
        (json.dumps({"from": "x", "pieces": [f"to {ANA}."]}),),
    )


def test_nothing_names_the_address_any_more(shop: Shop) -> None:
    _everything_happens(shop)
    named = _naming(shop, "ana.o'neil+x@", "ana.o&#39;neil", "ana.o%%27neil")
    assert {"event", "run", "dead_letter", "delivery_batch", "inbox", "delivery_event", "message"} <= set(named)
    held = _erase(shop)
    assert set(held.found) == {*LEDGER} - {"outbox_key", "erasure"}
    for table in LEDGER:
        rows = [str(row).lower().replace(LOOKS_LIKE.lower(), "") for row in shop.rows(f"SELECT * FROM tidings.{table}")]
        left = [row for row in rows if "neil" in row and "dana" not in row]
        assert left == [], table
    assert list(find_address(shop.engine.ledger, ANA).lines()) == []


def test_nobody_else_loses_anything(shop: Shop) -> None:
    _everything_happens(shop)
    before = shop.inbox()
    places = "SELECT m.id, m.address, b.request->'messages'->m.position->'to'->>0 AS to_whom"
    places += " FROM tidings.message m JOIN tidings.delivery_batch b ON b.id = m.batch_id ORDER BY m.id"
    requests = shop.rows(places)
    _erase(shop)
    about_ana = {(who, subject) for who, subject in before if subject == "Report 1"}
    assert [one for one in before if one[0] != ANA and one not in about_ana] == shop.inbox()
    for was, now in zip(requests, shop.rows(places), strict=True):
        if was["address"] == ANA:
            assert (now["address"], now["to_whom"]) == (None, None)
        else:
            assert now["address"] == was["address"]
            assert now["to_whom"] in (was["to_whom"], None)
    kept = shop.rows(
        "SELECT new->>'id' AS id FROM tidings.event e JOIN tidings.hook h ON h.id = e.hook_id"
        " WHERE relation = 'shop.customers' ORDER BY e.id"
    )
    assert {row["id"] for row in kept} == {None, "2", "3"}
    customers = shop.rows("SELECT email FROM shop.customers ORDER BY id")
    assert [row["email"] for row in customers] == [ANA, LOOKS_LIKE, "3@x.test"]


def test_the_change_of_a_run_that_told_nobody_else_goes_too(shop: Shop) -> None:
    shop.publish(spec(steps=[{**ONE, "texts": [{"subject": "x", "body": "y"}]}]))
    shop.write("UPDATE shop.orders SET status = 'shipped'")
    _erase(shop)
    assert shop.rows("SELECT new FROM tidings.event WHERE id = 1") == [{"new": None}]
    assert shop.rows("SELECT count(new) AS n FROM tidings.event") == [{"n": 2}]


def test_what_is_under_way_is_left_whole_and_goes_when_it_is_done(shop: Shop) -> None:
    shop.publish(spec(steps=[ASK, {"wait": "settle", "for": "1 day"}, ONE]))
    shop.write("UPDATE shop.orders SET status = 'shipped' WHERE id < 3")
    held = _erase(shop)
    assert list(held.lines()) == []
    assert held.under_way["run"] == 1
    shop.pass_time(days=2)
    assert [who for who, _ in shop.inbox()] == [ANA, LOOKS_LIKE]
    batches = "UPDATE tidings.delivery_batch SET state = {}, finished_at = {}"
    shop.app.execute(batches.format("'sending'", "NULL").encode())
    request = shop.rows("SELECT request FROM tidings.delivery_batch")
    held = _erase(shop)
    assert held.under_way["delivery_batch"] == 1
    assert held.under_way["message"] == 1
    assert shop.rows("SELECT request FROM tidings.delivery_batch") == request
    assert shop.rows("SELECT address FROM tidings.message ORDER BY id") == [{"address": ANA}, {"address": LOOKS_LIKE}]
    shop.app.execute(batches.format("'sent'", "now()").encode())
    found = find_address(shop.engine.ledger, ANA)
    shop.app.execute(batches.format("'sending'", "NULL").encode())
    erase(shop.engine.ledger, found, by="bea", now=shop.clock.now())
    assert shop.rows("SELECT request FROM tidings.delivery_batch") == request
    shop.app.execute(batches.format("'sent'", "now()").encode())
    _erase(shop)
    assert shop.rows("SELECT address FROM tidings.message ORDER BY id") == [{"address": None}, {"address": LOOKS_LIKE}]
    (after,) = shop.rows("SELECT request->'messages' AS messages FROM tidings.delivery_batch")
    assert after["messages"] == [{}, request[0]["request"]["messages"][1]]


def test_requests_that_share_their_words_lose_the_one_member(shop: Shop) -> None:
    shop.publish(spec(steps=[ALL]))
    shop.write("UPDATE shop.orders SET status = 'shipped' WHERE id = 1")
    each = [
        [row["address"], "<id>", "", 0, [1, -1], 2]
        for row in shop.rows("SELECT address FROM tidings.message ORDER BY id")
    ]
    shop.app.execute("UPDATE tidings.delivery_batch SET request = %s", (json.dumps({"each": each}),))
    _erase(shop)
    (batch,) = shop.rows("SELECT request FROM tidings.delivery_batch")
    assert batch["request"] == {"each": [[], *each[1:]]}


def test_the_suppression_stays_unless_it_is_asked_for(shop: Shop) -> None:
    shop.app.execute("INSERT INTO tidings.suppression VALUES (1, lower(%s), '', 'unsubscribed', '', now())", (ANA,))
    shop.publish(spec(steps=[{**ONE, "category": "marketing", "topic": "news"}]))
    held = _erase(shop)
    assert held.suppressions == (("", "unsubscribed"),)
    shop.write("UPDATE shop.orders SET status = 'shipped' WHERE id = 1")
    assert shop.inbox() == []
    _erase(shop, also_suppression=True)
    assert shop.rows("SELECT * FROM tidings.suppression") == []


def test_that_it_happened_is_recorded_without_the_address_and_said(shop: Shop) -> None:
    shop.publish(spec(steps=[ONE]))
    shop.write("UPDATE shop.orders SET status = 'shipped' WHERE id = 1")
    _erase(shop)
    (record,) = shop.rows("SELECT * FROM tidings.erasure")
    assert (record["erased_by"], record["at"]) == ("bea", shop.clock.now())
    assert record["counts"]["erased"]["message"] == 1
    assert "neil" not in str(record).lower()
    told = explain(shop.engine.ledger, shop.engine.source, address=ANA).lines()
    assert f"What was known of {ANA} was erased on request at 2026-06-01 12:00:00 UTC." in told
    assert not any(
        "erased" in line for line in explain(shop.engine.ledger, shop.engine.source, address="3@x.test").lines()
    )


def test_providers_ids_are_told_and_what_people_wrote_is_named(shop: Shop) -> None:
    shop.publish(spec(steps=[ALL]))
    shop.write("UPDATE shop.orders SET status = 'shipped' WHERE id = 1")
    shop.app.execute("UPDATE tidings.delivery_batch SET provider = 'resend', provider_ids = '{a,b,c}'")
    shop.app.execute("INSERT INTO tidings.contact VALUES (1, 'boss', 'email', %s)", (ANA,))
    held = _erase(shop)
    assert [(one.provider, one.provider_id) for one in held.at_providers] == [("resend", "a")]
    assert held.written == ("contact boss",)
    assert shop.rows("SELECT provider_ids FROM tidings.delivery_batch") == [{"provider_ids": ["a", "b", "c"]}]


def test_a_longer_address_that_holds_it_is_somebody_else(shop: Shop) -> None:
    address = "neil@x.test"
    bodies = ("Mr.neil@x.test", "neil@x.test.org", "neil@x.tests", "x-neil@x.test", "neil@x-test")
    hits = (
        "neil@x.test.",
        "<NEIL@X.test>",
        "(neil@x.test)",
        "mailto:neil@x.test",
        "=neil%40x.test&",
        "to%3Aneil%40x.test",
    )
    for number, body in enumerate((*bodies, *hits)):
        shop.app.execute(
            "INSERT INTO tidings.event (project_id, id, hook_id, generation, op, new, at)"
            " VALUES (1, %s, 1, 1, 'i', %s, now())",
            (number + 1, json.dumps({"text": body})),
        )
    found = find_address(shop.engine.ledger, address).found["event"]
    assert list(found) == list(range(len(bodies) + 1, len(bodies) + len(hits) + 1))


@pytest.mark.parametrize("written", ["", "nobody at all", "a@b@c"])
def test_what_is_no_address_is_refused(shop: Shop, written: str) -> None:
    with pytest.raises(BadAddress):
        find_address(shop.engine.ledger, written)


def test_a_slack_handle_is_found_too(shop: Shop) -> None:
    shop.app.execute("UPDATE shop.customers SET slack_handle = 'ana' WHERE id = 1")
    chat = {
        "to": "SELECT c.slack_handle AS slack FROM shop.customers c WHERE c.id = new.customer_id",
        "channels": ["slack"],
    }
    shop.publish(spec(steps=[{**SEND, **chat, "texts": [{"body": "x"}]}]))
    shop.write("UPDATE shop.orders SET status = 'shipped' WHERE id = 1")
    assert len(_erase(shop, "@ana").found["message"]) == 1
    assert _naming(shop, "@ana") == []
