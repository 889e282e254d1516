"""Publishing: hook and version in one transaction, one version whoever comes, and earlier events keep their owner."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from psycopg import Connection

from runtime.capture.health import capture_health
from runtime.clock import VirtualClock
from runtime.errors import NotAllowed, NotFound, Temporary
from runtime.ledger.database import Ledger
from runtime.ledger.project import load_project
from runtime.publishing.drift import has_drifted
from runtime.publishing.publish import Published, publish, unpublish
from runtime.publishing.versions import Version, list_workflows, live_versions, load_version, versions_of_hooks
from runtime.source.reader import Source
from tests.publishing import SEND, approve, publish_now, save_and_test, spec

pytestmark = pytest.mark.usefixtures("approved")
STAFF = {**SEND, "to": "SELECT s.id AS key, s.email FROM shop.staff s"}
PAID = {"change": "shop.orders", "becomes": "status = 'paid'"}
LOW = {"change": "shop.products", "becomes": "stock <= reorder_level"}
WEEKLY = {"schedule": "0 9 * * 1"}


@pytest.fixture
def shop(app: Connection[Any]) -> Connection[Any]:
    """The application, with a customer, an order and a product."""
    app.execute(
        "INSERT INTO shop.customers (id, email) VALUES (1, 'one@x.test');"
        "INSERT INTO shop.products VALUES (1, 'MUG', 'Mug', 50, 10, 100);"
        "INSERT INTO shop.orders (id, customer_id, status, total_cents, placed_at)"
        " VALUES (1, 1, 'pending', 100, '2026-05-01'), (2, 1, 'pending', 100, '2026-05-01')"
    )
    return app


def _versions(ledger: Ledger) -> dict[str, Version]:
    """Return the live versions by name."""
    with ledger.connection() as conn:
        return {version.name: version for version in live_versions(conn, 1)}


def _events(app: Connection[Any]) -> list[tuple[Any, ...]]:
    return app.execute("SELECT generation, new->>'status' FROM tidings.outbox ORDER BY id").fetchall()


def _owners(ledger: Ledger, generation: int) -> set[tuple[str, int]]:
    """Return whose an event of that generation is, among the hook's versions."""
    with ledger.connection() as conn:
        found = versions_of_hooks(conn, 1)
    return {
        (version.name, version.number)
        for version in found
        if (version.from_generation or 0) <= generation
        and (version.until_generation is None or generation < version.until_generation)
    }


def test_a_published_version_is_live_and_its_hook_captures(
    ledger: Ledger, source: Source, database: str, shop: Connection[Any], clock: VirtualClock
) -> None:
    published = publish_now(ledger, source, database, spec(), clock=clock)
    version = load_version(ledger, published.version_id)
    assert version == _versions(ledger)["shipped"]
    assert (version.number, version.digest, version.published_at) == (1, published.digest, clock.now())
    assert version.compiled.steps[0].query is not None
    shop.execute("UPDATE shop.orders SET status = 'shipped' WHERE id = 1")
    assert _events(shop) == [(version.from_generation, "shipped")]
    with ledger.connection() as conn:
        assert load_project(conn, 1).live_generation == 1
    [line] = list_workflows(ledger)
    assert (line.state, line.number, line.changed) == ("live", 1, False)


def test_publishing_the_same_again_answers_the_same(ledger: Ledger, source: Source, database: str) -> None:
    first = publish_now(ledger, source, database, spec())
    assert publish(ledger, source, database, "shipped", digest=first.digest) == first
    with ledger.connection() as conn:
        assert load_project(conn, 1).live_generation == 1


def test_a_new_version_takes_over_from_the_next_event_on(
    ledger: Ledger, source: Source, database: str, shop: Connection[Any], clock: VirtualClock
) -> None:
    first = publish_now(ledger, source, database, spec(), clock=clock)
    shop.execute("UPDATE shop.orders SET status = 'shipped' WHERE id = 1")
    clock.advance_to(clock.now() + timedelta(hours=1))
    second = publish_now(ledger, source, database, spec(about="Tells them."), clock=clock)
    shop.execute("UPDATE shop.orders SET status = 'shipped' WHERE id = 2")
    (before, _), (after, _) = _events(shop)
    assert _owners(ledger, before) == {("shipped", 1)}
    assert _owners(ledger, after) == {("shipped", 2)}
    assert load_version(ledger, first.version_id).retired_at == clock.now()
    assert (second.number, _versions(ledger)["shipped"].number) == (2, 2)


def test_workflows_on_one_table_share_its_hook_and_each_goes_on(
    ledger: Ledger, source: Source, database: str, shop: Connection[Any]
) -> None:
    publish_now(ledger, source, database, spec())
    publish_now(ledger, source, database, spec("paid", trigger=PAID))
    shop.execute("UPDATE shop.orders SET status = 'shipped' WHERE id = 1")
    shop.execute("UPDATE shop.orders SET status = 'paid' WHERE id = 2")
    assert [status for _, status in _events(shop)] == ["shipped", "paid"]
    assert all(_owners(ledger, generation) == {("shipped", 1), ("paid", 1)} for generation, _ in _events(shop))
    assert len({version.hook_id for version in _versions(ledger).values()}) == 1


def test_unpublish_ends_it_and_leaves_earlier_events_and_the_neighbour_alone(
    ledger: Ledger, source: Source, database: str, shop: Connection[Any], clock: VirtualClock
) -> None:
    publish_now(ledger, source, database, spec(), clock=clock)
    publish_now(ledger, source, database, spec("paid", trigger=PAID), clock=clock)
    shop.execute("UPDATE shop.orders SET status = 'shipped' WHERE id = 1")
    unpublish(ledger, database, "shipped", clock=clock)
    shop.execute("UPDATE shop.orders SET status = 'paid' WHERE id = 2")
    (before, _), (after, status) = _events(shop)
    assert _owners(ledger, before) == {("shipped", 1), ("paid", 1)}
    assert (_owners(ledger, after), status) == ({("paid", 1)}, "paid")
    assert set(_versions(ledger)) == {"paid"}
    unpublish(ledger, database, "shipped", clock=clock)
    with ledger.connection() as conn:
        assert load_project(conn, 1).live_generation == 3
    with pytest.raises(NotFound, match="Did you mean 'shipped'"):
        unpublish(ledger, database, "shiped")


def test_events_flow_while_a_workflow_comes_and_goes_and_each_has_its_owner(
    ledger: Ledger, source: Source, database: str, shop: Connection[Any]
) -> None:
    stop = threading.Event()

    def write() -> int:
        written = 0
        with psycopg.connect(database, autocommit=True) as conn:
            while not stop.is_set():
                conn.execute("UPDATE shop.orders SET status = 'shipped' WHERE id = 1")
                conn.execute("UPDATE shop.orders SET status = 'pending' WHERE id = 1")
                written += 1
        return written

    publish_now(ledger, source, database, spec("paid", trigger=PAID))
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        try:
            publish_now(ledger, source, database, spec())
            unpublish(ledger, database, "shipped")
            publish_now(ledger, source, database, spec())
        finally:
            stop.set()
        assert writing.result(timeout=5) > 0
    shop.execute("UPDATE shop.orders SET status = 'shipped' WHERE id = 2")
    events = _events(shop)
    assert _owners(ledger, events[-1][0]) == {("shipped", 2), ("paid", 1)}
    known = {owner for generation, _ in events for owner in _owners(ledger, generation)}
    assert known <= {("shipped", 1), ("shipped", 2), ("paid", 1)}


def test_a_version_that_moves_to_another_table_leaves_the_first_hook(
    ledger: Ledger, source: Source, database: str, shop: Connection[Any]
) -> None:
    first = publish_now(ledger, source, database, spec())
    text = {"subject": "{{ new.sku }}", "body": "{{ new.stock }}"}
    publish_now(ledger, source, database, spec(trigger=LOW, steps=[{**STAFF, "texts": [text]}]))
    shop.execute("UPDATE shop.orders SET status = 'shipped' WHERE id = 1")
    assert _events(shop) == []
    shop.execute("UPDATE shop.products SET stock = 5")
    assert len(_events(shop)) == 1
    gone = load_version(ledger, first.version_id)
    assert (gone.until_generation or 0) > (gone.from_generation or 0)
    assert gone.hook_id != _versions(ledger)["shipped"].hook_id


def test_a_schedule_has_no_hook(ledger: Ledger, source: Source, database: str, app: Connection[Any]) -> None:
    texts = [{"subject": "x", "body": "y"}]
    first = publish_now(ledger, source, database, spec(trigger=WEEKLY, steps=[{**STAFF, "texts": texts}]))
    version = load_version(ledger, first.version_id)
    assert (version.hook_id, version.from_generation, version.compiled.match) == (None, None, None)
    assert app.execute("SELECT count(*) FROM tidings.hook").fetchone() == (0,)
    with ledger.connection() as conn:
        assert versions_of_hooks(conn, 1) == ()
    publish_now(ledger, source, database, spec())
    retired = load_version(ledger, first.version_id)
    assert (retired.until_generation, retired.retired_at is None) == (None, False)
    unpublish(ledger, database, "shipped")
    assert _versions(ledger) == {}


def test_two_publishers_at_once_make_one_version(ledger: Ledger, source: Source, database: str) -> None:
    digest = save_and_test(ledger, source, spec())
    approve(ledger, source, "shipped")
    start = threading.Barrier(3)

    def go(_: int) -> Published:
        start.wait(5)
        return publish(ledger, source, database, "shipped", digest=digest)

    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(go, range(3)))
    assert len(set(answers)) == 1
    with ledger.connection() as conn:
        assert conn.execute("SELECT count(*) FROM tidings.workflow_version").fetchone() == (1,)
        assert conn.execute("SELECT count(*), max(generation) FROM tidings.hook").fetchone() == (1, 1)


def test_a_locked_table_is_tried_again_and_then_named(
    ledger: Ledger, source: Source, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.postgres.locks.TRIES", 3)
    digest = save_and_test(ledger, source, spec())
    approve(ledger, source, "shipped")
    with psycopg.connect(database) as other:
        other.execute("SET application_name = 'sync'; LOCK TABLE shop.orders IN ROW EXCLUSIVE MODE")
        with pytest.raises(Temporary, match=r"shop\.orders: pid \d+ \(sync\), in its transaction since .* try again"):
            publish(ledger, source, database, "shipped", digest=digest)
        assert _versions(ledger) == {}
        other.rollback()
    assert publish(ledger, source, database, "shipped", digest=digest).number == 1


def test_a_table_that_has_its_hook_need_not_be_locked_again(ledger: Ledger, source: Source, database: str) -> None:
    publish_now(ledger, source, database, spec())
    with psycopg.connect(database) as other:
        other.execute("LOCK TABLE shop.orders IN ROW EXCLUSIVE MODE")
        assert publish_now(ledger, source, database, spec(about="Tells them.")).number == 2
        unpublish(ledger, database, "shipped")


def test_a_short_lock_is_waited_out(ledger: Ledger, source: Source, database: str) -> None:
    digest = save_and_test(ledger, source, spec())
    approve(ledger, source, "shipped")
    with ThreadPoolExecutor(1) as pool, psycopg.connect(database) as other:
        other.execute("LOCK TABLE shop.orders IN ROW EXCLUSIVE MODE")
        publishing = pool.submit(publish, ledger, source, database, "shipped", digest=digest)
        with psycopg.connect(database, autocommit=True) as watch:
            waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'shop.orders'::regclass"
            while watch.execute(waiting).fetchone() != (1,):
                assert not publishing.done()
        other.rollback()
        assert publishing.result(timeout=5).number == 1


def test_a_publish_that_fails_half_way_leaves_no_more_than_triggers_that_do_nothing(
    ledger: Ledger, source: Source, database: str, app: Connection[Any]
) -> None:
    digest = save_and_test(ledger, source, spec())
    approve(ledger, source, "shipped")
    app.execute("ALTER TABLE tidings.workflow_version ADD CONSTRAINT never CHECK (number > 1)")
    with pytest.raises(psycopg.errors.CheckViolation):
        publish(ledger, source, database, "shipped", digest=digest)
    assert app.execute("SELECT generation, definition FROM tidings.hook").fetchall() == [(0, {})]
    app.execute("INSERT INTO shop.customers (id, email) VALUES (9, 'nine@x.test')")
    app.execute("INSERT INTO shop.orders VALUES (9, 9, 'shipped', 1, 'EUR', now())")
    assert (_events(app), capture_health(app, 1).reasons) == ([], ())
    assert app.execute("SELECT status FROM tidings.approval").fetchall() == [("approved",)]
    app.execute("ALTER TABLE tidings.workflow_version DROP CONSTRAINT never")
    assert publish(ledger, source, database, "shipped", digest=digest).number == 1


def test_a_neighbour_that_drifted_does_not_spoil_the_hook(
    ledger: Ledger, source: Source, database: str, shop: Connection[Any]
) -> None:
    publish_now(ledger, source, database, spec("paid", trigger={**PAID, "becomes": "currency = 'EUR'"}))
    shop.execute("ALTER TABLE shop.orders DROP COLUMN currency")
    publish_now(ledger, source, database, spec())
    shop.execute("UPDATE shop.orders SET status = 'shipped' WHERE id = 1")
    assert [status for _, status in _events(shop)] == ["shipped"]
    assert shop.execute("SELECT count(*) FROM tidings.outbox_key").fetchone() == (0,)


def test_a_version_has_drifted_once_its_tables_look_different(
    ledger: Ledger, source: Source, database: str, app: Connection[Any]
) -> None:
    version = load_version(ledger, publish_now(ledger, source, database, spec()).version_id)
    assert not has_drifted(source, ledger, version)
    app.execute("ALTER TABLE shop.orders ADD COLUMN note text")
    assert not has_drifted(source, ledger, version)
    app.execute("ALTER TABLE shop.customers RENAME email TO mail")
    assert has_drifted(source, ledger, version)


def test_a_table_that_was_dropped_can_still_be_unpublished(
    ledger: Ledger, source: Source, database: str, app: Connection[Any]
) -> None:
    published = publish_now(ledger, source, database, spec())
    app.execute("DROP TABLE shop.orders CASCADE")
    unpublish(ledger, database, "shipped")
    assert _versions(ledger) == {}
    gone = load_version(ledger, published.version_id)
    assert gone.until_generation == (gone.from_generation or 0) + 1


RIGHTS = [
    ("GRANT CREATE ON SCHEMA tidings TO weak", r"The installer may not put a trigger on shop\.orders\. .*--grants"),
    ("GRANT TRIGGER ON shop.orders TO weak", r"may not do that on shop\.orders: permission denied .*`tidings init`"),
]


@pytest.mark.parametrize(("right", "says"), RIGHTS)
def test_an_installer_without_a_right_says_which_is_missing(
    ledger: Ledger, source: Source, database: str, app: Connection[Any], *, right: str, says: str
) -> None:
    digest = save_and_test(ledger, source, spec())
    approve(ledger, source, "shipped")
    app.execute(
        "DROP ROLE IF EXISTS weak; CREATE ROLE weak LOGIN PASSWORD 'weak'; GRANT USAGE ON SCHEMA tidings, shop TO weak;"
        "GRANT ALL ON ALL TABLES IN SCHEMA tidings TO weak; GRANT ALL ON ALL SEQUENCES IN SCHEMA tidings TO weak"
    )
    try:
        app.execute(right.encode())
        url = "postgresql://weak:weak@" + database.partition("@")[2]
        with pytest.raises(NotAllowed, match=says):
            publish(ledger, source, url, "shipped", digest=digest)
        assert _versions(ledger) == {}
    finally:
        app.execute("DROP OWNED BY weak; DROP ROLE weak")


def test_no_connection_is_temporary_and_shows_no_password(ledger: Ledger, source: Source) -> None:
    digest = save_and_test(ledger, source, spec())
    approve(ledger, source, "shipped")
    with pytest.raises(Temporary, match=r"No connection to me@127\.0\.0\.1:1/x") as error:
        publish(ledger, source, "postgresql://me:hush@127.0.0.1:1/x", "shipped", digest=digest)
    assert "hush" not in str(error.value)


def test_a_version_never_changes(ledger: Ledger, source: Source, database: str, app: Connection[Any]) -> None:
    publish_now(ledger, source, database, spec())
    for change in ("compiled = '{}'", "spec = '{}'", "digest = 'x'", "from_generation = 9", "published_at = now()"):
        with pytest.raises(psycopg.errors.RaiseException, match="never changes"):
            app.execute(f"UPDATE tidings.workflow_version SET {change}".encode())
    with pytest.raises(NotFound, match="no version 99"):
        load_version(ledger, 99)
