from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg import Connection

from runtime.errors import Invalid
from runtime.postgres.server import PostgresServer
from runtime.rehearsal.durations import duration_end
from runtime.rehearsal.world import START, World, open_world
from runtime.source.reader import Source
from runtime.spec.schema import AddressKind
from runtime.spec.yaml import parse_spec

ADDRESSES = {"shop.customers.email": AddressKind.EMAIL, "shop.staff.email": AddressKind.EMAIL}
CONTACTS = {"ops": {"kind": "email", "address": "ops@x.test"}}
PEOPLE = (
    "INSERT INTO shop.customers (id, email) VALUES (1, 'ana@x.test'), (2, 'bo@x.test');"
    "INSERT INTO shop.orders (id, customer_id, status, total_cents, placed_at) VALUES (1, 1, 'paid', 5, now()),"
    " (2, 2, 'paid', 5, now())"
)
TO = "SELECT c.id AS key, c.email FROM shop.customers c WHERE c.id = new.customer_id"


def _spec(**parts: Any) -> Any:
    send = {"send": "tell", "to": parts.pop("to", TO), "channels": ["email"]}
    send["texts"] = [
        {"subject": parts.pop("subject", "Order {{ new.id }}"), "body": parts.pop("body", "It is {{ new.status }}.")}
    ]
    steps = [*parts.pop("before", []), send]
    trigger = parts.pop("trigger", {"change": "shop.orders", "becomes": "status = 'shipped'"})
    return parse_spec({"workflow": "shipped", "about": "Tells.", "trigger": trigger, "steps": steps, **parts})


@pytest.fixture
def world(server: PostgresServer, database: str) -> Iterator[World]:
    with open_world(server, database, addresses=ADDRESSES, contacts=CONTACTS) as world:
        world.seed(PEOPLE)
        yield world


def _told(world: World) -> list[tuple[str, str]]:
    return [(one.address, f"{one.at:%d %H:%M:%S}") for one in world.sent()]


def test_a_change_is_carried_out_at_the_virtual_time_and_lands_in_the_world_s_inbox(world: World) -> None:
    world.publish(_spec())
    world.advance(timedelta(days=1))
    world.write("UPDATE shop.orders SET status = 'shipped', shipped_at = now() WHERE id = 1")
    (sent,) = world.sent()
    assert sent.at == START + timedelta(days=1)
    assert (sent.channel, sent.address, sent.key, sent.workflow, sent.step) == (
        "email",
        "ana@x.test",
        "1",
        "shipped",
        "tell",
    )
    assert sent.subject == "Order 1"
    assert "It is shipped." in sent.text


def test_waiting_ends_at_its_instant_and_not_a_second_before(world: World) -> None:
    world.publish(_spec(before=[{"wait": "a", "for": "2 hours"}, {"wait": "b", "for": "1 month"}]))
    world.write("UPDATE shop.orders SET status = 'shipped' WHERE id IN (1, 2)")
    assert world.next_due() == START + timedelta(hours=2)
    world.advance(datetime(2026, 7, 1, 13, 59, 59, tzinfo=UTC))
    assert world.sent() == []
    assert [(run.step, run.state) for run in world.runs()] == [("b", "waiting")] * 2
    world.advance(timedelta(seconds=1))
    assert _told(world) == [("ana@x.test", "01 14:00:00"), ("bo@x.test", "01 14:00:00")]
    assert world.next_due() is None


def test_a_slot_of_a_schedule_comes_when_the_clock_gets_there(world: World) -> None:
    each = "SELECT o.id, c.email FROM shop.orders o JOIN shop.customers c ON c.id = o.customer_id WHERE o.id = 2"
    trigger = {"schedule": "0 9 * * *", "zone": "Asia/Tokyo", "each": each, "key": ["id"]}
    world.publish(_spec(trigger=trigger, to="SELECT item.email", subject="Day", body="{{ item.id }}"))
    world.advance(datetime(2026, 6, 3, 0, 0, tzinfo=UTC))
    assert _told(world) == [("bo@x.test", "02 00:00:00"), ("bo@x.test", "03 00:00:00")]


def test_a_transaction_that_is_rolled_back_never_happened(world: World) -> None:
    world.publish(_spec())
    world.write("BEGIN; UPDATE shop.orders SET status = 'shipped'; ROLLBACK")
    assert (world.sent(), world.runs()) == ([], [])
    with pytest.raises(psycopg.errors.CheckViolation):
        world.write("BEGIN; UPDATE shop.orders SET status = 'lost'")
    world.write("UPDATE shop.orders SET status = 'shipped' WHERE id = 1")
    assert _told(world) == [("ana@x.test", "01 12:00:00")]


def test_what_was_seeded_is_nobody_s_business(world: World) -> None:
    world.publish(_spec())
    world.seed("UPDATE shop.orders SET status = 'shipped'")
    world.write("UPDATE shop.orders SET total_cents = 6")
    assert world.runs() == []


def test_everything_that_did_not_become_a_message_says_why(world: World) -> None:
    world.publish(_spec(to=f"{TO} AND c.marketing_opt_in"))
    world.write("UPDATE shop.orders SET status = 'shipped' WHERE id = 1")
    assert world.sent() == []
    assert [(one.step, one.reason) for one in world.unsent()] == [("tell", "nobody")]


def test_publishing_goes_through_the_gate_with_its_problems_and_the_world_s_own_approvals(world: World) -> None:
    with pytest.raises(Invalid, match=r"unknown column 'nam'(.|\n)*unknown-contact|unknown column"):
        world.publish(_spec(to="SELECT c.email, c.nam FROM shop.customers c"))
    with pytest.raises(Invalid, match="not approved as an address for email"):
        world.publish(_spec(to="SELECT c.full_name AS email FROM shop.customers c"))
    world.publish(_spec(to="SELECT contact('ops') AS email"))
    world.write("UPDATE shop.orders SET status = 'shipped' WHERE id = 1")
    assert _told(world) == [("ops@x.test", "01 12:00:00")]


def test_a_new_version_takes_over_and_runs_in_flight_finish_as_they_began(world: World) -> None:
    assert world.publish(_spec(before=[{"wait": "a", "for": "1 day"}])).number == 1
    world.write("UPDATE shop.orders SET status = 'shipped' WHERE id = 1")
    assert world.publish(_spec(subject="New {{ new.id }}")).number == 2
    world.write("UPDATE shop.orders SET status = 'shipped' WHERE id = 2")
    world.advance(timedelta(days=1))
    assert [(one.address, one.subject) for one in world.sent()] == [("bo@x.test", "New 2"), ("ana@x.test", "Order 1")]
    world.unpublish("shipped")
    world.write("UPDATE shop.orders SET status = 'paid'; UPDATE shop.orders SET status = 'shipped'")
    assert len(world.sent()) == 2


def test_defaults_of_the_application_s_tables_go_by_the_virtual_clock(world: World) -> None:
    world.advance(timedelta(days=3))
    world.write("INSERT INTO shop.customers (id, email) VALUES (3, 'cy@x.test')")
    created = world.connection.execute("SELECT created_at FROM shop.customers WHERE id = 3").fetchall()
    assert created == [(START + timedelta(days=3),)]


def test_a_world_can_begin_again_with_what_is_published(world: World) -> None:
    world.publish(_spec(before=[{"wait": "a", "for": "1 hour"}]))
    for _ in range(2):
        world.begin_again()
        assert (world.clock.now(), world.sent(), world.runs()) == (START, [], [])
        assert world.connection.execute("SELECT count(*) FROM shop.orders").fetchall() == [(0,)]
        world.seed(PEOPLE)
        world.write("UPDATE shop.orders SET status = 'shipped' WHERE id = 1")
        world.advance(timedelta(hours=1))
        assert _told(world) == [("ana@x.test", "01 13:00:00")]


def test_a_copy_goes_its_own_way(world: World) -> None:
    world.publish(_spec())
    with world.copied() as copy:
        copy.write("UPDATE shop.orders SET status = 'shipped'")
        assert len(copy.sent()) == 2
    assert world.sent() == []
    world.write("UPDATE shop.orders SET status = 'shipped' WHERE id = 1")
    assert len(world.sent()) == 1


def test_a_world_has_no_row_of_the_user_and_no_way_out(
    server: PostgresServer, database: str, app: Connection[Any]
) -> None:
    app.execute("INSERT INTO shop.customers (id, email) VALUES (1, 'real@person.example')")
    with Source(database) as source, open_world(server, source, ["shop.orders"], addresses=ADDRESSES) as world:
        assert set(world.cloned.relations) == {"shop.orders", "shop.customers"}
        assert world.connection.execute("SELECT count(*) FROM shop.customers").fetchall() == [(0,)]
        assert world.engine.delivery.providers == {}
        mode = world.connection.execute("SELECT mode, environment FROM tidings.project").fetchall()
        assert mode == [("inbox", "development")]
        url = world.url
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(url)


def test_the_clock_can_begin_anywhere_and_only_goes_forward(server: PostgresServer, database: str) -> None:
    with open_world(server, database, at=datetime(2024, 2, 29, tzinfo=UTC)) as world:
        world.advance(datetime(2024, 3, 1, tzinfo=UTC))
        with pytest.raises(ValueError, match="can't go back"):
            world.advance(datetime(2024, 2, 29, tzinfo=UTC))


@pytest.mark.parametrize(
    ("begun", "months", "days", "zone", "ended"),
    [
        ("2026-01-31T10:00", 1, 0, "UTC", "2026-02-28T10:00"),
        ("2024-02-29T00:00", 12, 1, "UTC", "2025-03-01T00:00"),
        ("2026-02-15T10:00", 2, 0, "Europe/Paris", "2026-04-15T09:00"),
        ("2026-03-28T10:00", 0, 1, "Europe/Paris", "2026-03-29T10:00"),
    ],
)
def test_a_duration_ends_as_postgres_reckons_in_the_project_s_zone(  # noqa: PLR0917  # a table of cases
    app: Connection[Any], begun: str, months: int, days: int, zone: str, ended: str
) -> None:
    since, end = (datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (begun, ended))
    assert duration_end(app, since, months=months, seconds=days * 86400, zone=zone) == end
