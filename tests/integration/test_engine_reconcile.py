"""Reconciliation: each gap that is planted is found and said; what can be brought back is, once, and nothing else."""

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg import Connection

from runtime.clock import VirtualClock
from runtime.engine.claim import claim
from runtime.engine.drain import drain
from runtime.engine.perform import perform
from runtime.engine.reconcile import Reconciliation, Scene, reconcile, set_scene
from runtime.engine.repair import Repaired, repair
from runtime.engine.seams import Seam
from runtime.errors import NotAllowed, NotFound
from runtime.ledger.database import Ledger
from runtime.publishing.publish import unpublish
from runtime.source.reader import Source
from tests.engine_runs import Shop
from tests.publishing import SEND, spec

pytestmark = pytest.mark.usefixtures("approved")
OFF, ON = "SET session_replication_role = replica", "SET session_replication_role = origin"
"""What makes hooks miss a write altogether: as logical replication's apply works."""
CUSTOMER = {
    **SEND,
    "to": "SELECT c.id AS key, c.email FROM shop.customers c WHERE c.id = new.id",
    "texts": [{"subject": "Hello {{ new.id }}", "body": "x"}],
}


@pytest.fixture
def shop(app: Connection[Any], ledger: Ledger, source: Source, database: str, clock: VirtualClock) -> Shop:
    shop = Shop.furnished(app, ledger, source, database, clock)
    app.execute("UPDATE shop.customers SET created_at = '2026-05-01'")
    return shop


def scene(shop: Shop, workflow: str | None = None, **back: float) -> Scene:
    shop.clock.advance_to(shop.clock.now() + timedelta(seconds=1))  # the present instant is in no window
    engine, begin = shop.engine, shop.clock.now() - timedelta(**(back or {"days": 1}))
    return set_scene(engine.ledger, engine.source, begin=begin, workflow=workflow, clock=shop.clock)


def compared(shop: Shop, workflow: str | None = None) -> Reconciliation:
    return reconcile(scene(shop, workflow))


def gaps(shop: Shop) -> list[tuple[str, str, int, int]]:
    """Return stage, subject, missing and recoverable wherever something is missing."""
    found = compared(shop).seams
    return [(seam.stage, seam.subject, seam.missing, seam.recoverable) for seam in found if seam.missing]


def seam(shop: Shop, stage: str) -> Seam:
    return next(seam for seam in compared(shop).seams if seam.stage == stage)


def repaired(shop: Shop, workflow: str | None = None) -> Repaired:
    """Repair, let everything happen that follows, and find that a second repair has nothing to do."""
    done = repair(scene(shop, workflow), by="bea")
    drain(shop.engine)
    assert repair(scene(shop, workflow), by="bea") == Repaired(0, 0, 0, 0, 0)
    return done


def sign_up(shop: Shop, first: int, last: int, *, hours: float = 0, missed: bool = False) -> None:
    """Insert customers as they would be some hours before the present, with hooks or without."""
    at = shop.clock.now() - timedelta(hours=hours)
    for statement in (OFF if missed else ON, None, ON):
        shop.app.execute(
            statement
            or "INSERT INTO shop.customers (id, email, plan, created_at)"
            f" SELECT n, n || '@x.test', 'pro', '{at.isoformat()}' FROM generate_series({first}, {last}) n"
        )


def live(shop: Shop, trigger: dict[str, Any], name: str = "welcome") -> None:
    """Make a workflow on customers live, an hour and more ago."""
    shop.publish(spec(name, trigger=trigger, steps=[CUSTOMER]))
    shop.clock.advance_to(shop.clock.now() + timedelta(hours=3))


INSERTED = {"change": "shop.customers", "ops": ["insert"]}
BECAME_PRO = {"change": "shop.customers", "becomes": "plan = 'pro'"}


# The whole system, well


def test_nothing_is_missing_of_a_system_that_is_well_or_busy(shop: Shop) -> None:
    live(shop, INSERTED)
    live(shop, BECAME_PRO, "pro")
    waiting = [{"wait": "a", "for": "1 hour"}, CUSTOMER]
    shop.publish(spec("later", trigger=INSERTED, steps=waiting))
    sign_up(shop, 10, 14)
    assert gaps(shop) == []  # captured
    claim(shop.engine)
    assert gaps(shop) == []  # claimed, and some wait
    drain(shop.engine)
    assert gaps(shop) == []
    shop.pass_time(hours=1)
    assert gaps(shop) == []
    found = {(seam.stage, seam.subject): (seam.seen, seam.through) for seam in compared(shop).seams}
    assert found == {
        ("rows", "welcome"): (5, 5),
        ("rows", "pro"): (5, 5),
        ("changes", "shop.customers"): (5, 5),
        ("runs", "welcome"): (5, 5),
        ("runs", "pro"): (5, 5),
        ("runs", "later"): (5, 5),
        ("sends", "welcome"): (5, 5),
        ("sends", "pro"): (5, 5),
        ("sends", "later"): (5, 5),
        ("messages", "welcome"): (5, 5),
        ("messages", "pro"): (5, 5),
        ("messages", "later"): (5, 5),
    }
    assert repaired(shop) == Repaired(0, 0, 0, 0, 0)
    assert len(shop.inbox()) == 15


def test_an_empty_ledger_has_nothing_to_compare(shop: Shop) -> None:
    found = compared(shop)
    assert (found.seams, found.missing) == ((), 0)
    with pytest.raises(NotFound, match="No workflow is called 'welcom'"):
        compared(shop, "welcom")


# Rows that no hook saw


@pytest.mark.parametrize("trigger", [INSERTED, BECAME_PRO], ids=["insert", "becomes"])
def test_rows_that_no_hook_saw_are_found_and_their_people_told_once(shop: Shop, trigger: dict[str, Any]) -> None:
    live(shop, trigger)
    sign_up(shop, 10, 11)
    sign_up(shop, 12, 13, hours=1, missed=True)
    sign_up(shop, 14, 14, hours=30, missed=True)  # not in the window
    drain(shop.engine)
    assert gaps(shop) == [("rows", "welcome", 2, 2)]
    found = seam(shop, "rows")
    assert (found.seen, found.through, found.examples) == (4, 2, ('{"id": 12}', '{"id": 13}'))
    assert "as they are now, should have started a run (by created_at)" in found.why
    assert repaired(shop).runs_started == 2
    assert sorted(shop.inbox()) == [(f"{n}@x.test", f"Hello {n}") for n in (10, 11, 12, 13)]
    assert gaps(shop) == []
    when = datetime(2026, 6, 1, 14, tzinfo=UTC)
    assert shop.rows("SELECT how, by, e.at FROM tidings.recovered r JOIN tidings.event e ON e.id = r.event_id") == [
        {"how": "row", "by": "bea", "at": when},
        {"how": "row", "by": "bea", "at": when},
    ]


def test_rows_from_before_the_workflow_are_none_of_its(shop: Shop) -> None:
    sign_up(shop, 10, 11, missed=True)
    live(shop, INSERTED)
    assert gaps(shop) == []


def test_rows_of_an_earlier_version_with_the_same_trigger_count(shop: Shop) -> None:
    live(shop, BECAME_PRO)
    sign_up(shop, 10, 10, missed=True)
    shop.publish(spec("welcome", trigger=BECAME_PRO, steps=[{"wait": "a", "for": "1 hour"}, CUSTOMER]))
    assert gaps(shop) == [("rows", "welcome", 1, 1)]
    shop.publish(spec("welcome", trigger={**BECAME_PRO, "becomes": "plan <> 'free'"}, steps=[CUSTOMER]))
    assert gaps(shop) == []


def test_a_row_that_may_have_changed_since_is_unknown_and_not_missing(shop: Shop) -> None:
    """Whether the plan was pro when the row was inserted, nobody knows: no column says when the row changed."""
    live(shop, {**INSERTED, "when": "new.plan = 'pro'"})
    sign_up(shop, 10, 10, missed=True)
    assert gaps(shop) == []
    assert seam(shop, "rows").unknown == 1
    assert seam(shop, "rows").why == "1 look so too, but may not have been so when they were written."
    shop.app.execute("ALTER TABLE shop.customers ADD updated_at timestamptz; GRANT SELECT ON shop.customers TO PUBLIC")
    assert gaps(shop) == [("rows", "welcome", 1, 1)]
    shop.app.execute("UPDATE shop.customers SET updated_at = created_at + interval '1 s' WHERE id = 10")
    assert gaps(shop) == []


@pytest.mark.parametrize(
    ("trigger", "why"),
    [
        ({"change": "shop.customers", "ops": ["update"], "when": "new.plan = 'pro'"}, "it waits for no insert"),
        ({"change": "shop.staff", "ops": ["insert"]}, "no column says when a row was inserted"),
    ],
)
def test_what_can_not_be_compared_is_said(shop: Shop, trigger: dict[str, Any], why: str) -> None:
    to = {**CUSTOMER, "to": "SELECT s.id AS key, s.email FROM shop.staff s WHERE s.id = new.id"}
    shop.publish(spec("welcome", trigger=trigger, steps=[to]))
    [note, _] = compared(shop).notes
    assert why in note


def test_too_many_rows_are_not_read(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    live(shop, INSERTED)
    sign_up(shop, 10, 10, missed=True)
    monkeypatch.setattr("runtime.engine.reconcile_rows.COST_CEILING", 0.5)
    assert gaps(shop) == []
    assert "an index on created_at would help, or a shorter window" in compared(shop).notes[0]
    assert repair(scene(shop), by="bea").runs_started == 0


def test_rows_that_were_let_pass_on_purpose_are_said_and_never_repaired(shop: Shop) -> None:
    live(shop, INSERTED)
    shop.app.execute("SET tidings.skip = on")
    sign_up(shop, 10, 12)
    assert gaps(shop) == [("rows", "welcome", 3, 0)]
    assert "tidings.skip" in seam(shop, "rows").why
    assert repair(scene(shop), by="bea").runs_started == 0


def test_a_condition_that_fails_for_a_row_stops_no_other_comparison(shop: Shop) -> None:
    live(shop, {**INSERTED, "when": "1 / (new.id - 10) > 0"}, "broken")
    live(shop, INSERTED)
    sign_up(shop, 10, 10, missed=True)
    assert gaps(shop) == [("rows", "welcome", 1, 1)]
    assert "could not be compared for broken: division by zero" in compared(shop).notes[0]
    assert repair(scene(shop), by="bea").runs_started == 1


# Changes known by key only


def keys_only(shop: Shop, write: str) -> None:
    """Write while hooks can keep no more than keys; the columns that they need are away."""
    shop.app.execute("ALTER TABLE tidings.outbox RENAME COLUMN new TO away")
    shop.app.execute(write.encode())
    shop.app.execute("ALTER TABLE tidings.outbox RENAME COLUMN away TO new; RESET ALL")
    at = shop.clock.now()
    shop.app.execute("UPDATE tidings.outbox_key SET captured_at = %s WHERE captured_at > '2026-10-01'", (at,))


def open_keys(shop: Shop) -> int:
    return len(shop.rows("SELECT FROM tidings.outbox_key WHERE handled_at IS NULL"))


NEW = (
    "INSERT INTO shop.customers (id, email, plan, created_at)"
    " SELECT n, n || '@x.test', '{}', '{}' FROM generate_series({}, {}) n"
)


def insert_by_key(shop: Shop, first: int, last: int) -> None:
    keys_only(shop, NEW.format("pro", shop.clock.now().isoformat(), first, last))


def test_inserts_known_by_key_are_decided_by_the_row_as_it_is_now(shop: Shop) -> None:
    live(shop, BECAME_PRO)
    insert_by_key(shop, 10, 12)
    shop.app.execute("UPDATE shop.customers SET plan = 'free' WHERE id = 12")
    shop.app.execute("DELETE FROM shop.customers WHERE id = 11")
    assert gaps(shop) == [("keys", "shop.customers", 3, 2)]
    assert seam(shop, "keys").why == (
        "Hooks could keep only the keys. By the rows as they are now 2 can be decided, and start 1 run(s). Of 1 nobody "
        "can say what they were."
    )
    done = repaired(shop)
    assert (done.runs_started, done.keys_settled) == (1, 2)
    assert shop.inbox() == [("10@x.test", "Hello 10")]
    assert open_keys(shop) == 1
    assert shop.rows("SELECT how FROM tidings.recovered") == [{"how": "key"}]
    shop.app.execute("UPDATE tidings.outbox_key SET acknowledged_at = now()")
    assert gaps(shop) == []


def test_an_update_known_by_key_is_decided_where_the_trigger_asks_nothing_old(shop: Shop) -> None:
    live(shop, {"change": "shop.customers", "ops": ["update"], "when": "new.plan = 'pro'"}, "each")
    live(shop, {"change": "shop.customers", "ops": ["update"], "when": "new.plan <> old.plan"}, "changed")
    for _ in range(2):
        keys_only(shop, "UPDATE shop.customers SET plan = 'pro' WHERE id = 1")
        shop.clock.advance_to(shop.clock.now() + timedelta(seconds=1))
    assert gaps(shop) == [("keys", "shop.customers", 2, 0)]
    unpublish(shop.engine.ledger, shop.url, "changed", clock=shop.clock)
    done = repair(scene(shop), by="bea")
    assert (done.runs_started, done.keys_settled) == (1, 0)  # what `changed` would have said of them stays unknown
    drain(shop.engine)
    assert shop.inbox() == [("1@x.test", "Hello 1")]
    assert repair(scene(shop), by="bea").runs_started == 0


def test_an_edge_known_by_key_is_decided_where_the_row_was_watched_from_the_first(shop: Shop) -> None:
    live(shop, BECAME_PRO)
    sign_up(shop, 10, 10)
    shop.app.execute("UPDATE shop.customers SET plan = 'free' WHERE id = 10; DELETE FROM tidings.outbox")
    keys_only(shop, "UPDATE shop.customers SET plan = 'pro' WHERE id IN (1, 10)")
    assert gaps(shop) == [("keys", "shop.customers", 2, 1)]  # 1 may have been pro before it was watched
    done = repaired(shop)
    assert (done.runs_started, done.keys_settled) == (1, 1)
    assert shop.inbox() == [("10@x.test", "Hello 10")]


def test_who_was_told_since_is_not_told_again(shop: Shop) -> None:
    live(shop, BECAME_PRO)
    insert_by_key(shop, 10, 10)
    shop.app.execute("UPDATE shop.customers SET plan = 'free' WHERE id = 10")
    shop.clock.advance_to(shop.clock.now() + timedelta(minutes=1))
    shop.write("UPDATE shop.customers SET plan = 'pro' WHERE id = 10")
    assert shop.inbox() == [("10@x.test", "Hello 10")]
    done = repaired(shop)
    assert (done.runs_started, done.keys_settled) == (0, 1)
    assert len(shop.inbox()) == 1


def test_two_persons_repair_at_once_and_everybody_is_told_once(shop: Shop) -> None:
    live(shop, INSERTED)
    insert_by_key(shop, 10, 20)
    sign_up(shop, 21, 30, missed=True)
    scenes = [scene(shop), scene(shop)]
    done = [repair(each, by="bea") for each in scenes]
    assert [one.runs_started for one in done] == [21, 0]
    drain(shop.engine)
    assert len(shop.inbox()) == 21


def test_what_was_only_counted_stays_missing_until_a_person_has_seen_it(shop: Shop) -> None:
    live(shop, INSERTED)
    shop.app.execute("SELECT nextval('tidings.missed_1') FROM generate_series(1, 3)")
    assert gaps(shop) == [("missed", "shop.customers", 3, 0)]
    shop.app.execute(
        "INSERT INTO tidings.acknowledgement (project_id, hook_id, missed, keys_only, seen_by, at)"
        " VALUES (1, 1, 3, 0, 'bea', now())"
    )
    assert gaps(shop) == []


# Within the ledger


@pytest.fixture
def told(shop: Shop) -> Shop:
    """One customer was told, one waits."""
    live(shop, INSERTED)
    shop.publish(spec("later", trigger=BECAME_PRO, steps=[{"wait": "a", "for": "1 hour"}, CUSTOMER]))
    sign_up(shop, 10, 10)
    drain(shop.engine)
    assert len(shop.inbox()) == 1
    return shop


def test_a_change_whose_runs_are_gone_is_captured_again(told: Shop) -> None:
    told.app.execute("DELETE FROM tidings.run; DELETE FROM tidings.run_timer; DELETE FROM tidings.step_result")
    told.app.execute("DELETE FROM tidings.message; DELETE FROM tidings.inbox")
    assert gaps(told) == [("changes", "shop.customers", 1, 1)]
    assert repaired(told).changes_returned == 1
    assert told.inbox() == [("10@x.test", "Hello 10")]
    assert [state for state, _ in told.runs()] == ["completed", "waiting"]
    assert gaps(told) == []


@pytest.mark.parametrize("lost", ["DELETE FROM tidings.run_timer", "DELETE FROM tidings.work"])
def test_runs_without_timer_or_work_go_on_when_it_is_time(told: Shop, lost: str) -> None:
    if "work" in lost:
        told.clock.advance_to(told.clock.now() + timedelta(hours=1))
        told.app.execute("INSERT INTO tidings.work (project_id, kind, ids, due_at) SELECT 1, 'advance', '{2}', now()")
        told.app.execute("DELETE FROM tidings.run_timer")
    assert gaps(told) == []
    told.app.execute(lost.encode())
    assert gaps(told) == [("runs", "later", 1, 1)]
    assert seam(told, "runs").stage == "runs"
    assert repaired(told).runs_revived == 1
    told.pass_time(hours=1)
    assert [subject for _, subject in told.inbox()] == ["Hello 10"] * 2
    assert gaps(told) == []


def test_requests_without_work_are_delivered_after_all(shop: Shop) -> None:
    live(shop, INSERTED)
    sign_up(shop, 10, 11)
    claim(shop.engine)
    advance = shop.rows("SELECT id FROM tidings.work")[0]["id"]
    perform(shop.engine, advance)
    assert gaps(shop) == []
    shop.app.execute("DELETE FROM tidings.work")
    assert gaps(shop) == [("messages", "welcome", 2, 2)]
    assert "2 wait in a request without work" in seam(shop, "messages").why
    assert repaired(shop).requests_revived >= 1
    assert len(shop.inbox()) == 2
    assert gaps(shop) == []


DEAD = (
    "INSERT INTO tidings.dead_letter (project_id, version_id, stage, error, at)"
    " VALUES (1, 1, 'match', 'x', '2026-06-01 15:00Z')"
)


@pytest.mark.parametrize(
    ("planted", "stage", "why"),
    [
        ("DELETE FROM tidings.message", "sends", "nobody can say whether they were sent"),
        ("DELETE FROM tidings.delivery_batch", "messages", "the requests of 1 are gone"),
        ("UPDATE tidings.delivery_batch SET state = 'uncertain'", "messages", "of 1 nobody knows whether the provider"),
        (
            "UPDATE tidings.delivery_batch SET provider = 'resend'",
            "messages",
            "1 were taken and the provider gave no id",
        ),
        (DEAD, "failures", "They failed for good"),
    ],
)
def test_what_can_not_be_brought_back_is_said(told: Shop, planted: str, stage: str, why: str) -> None:
    told.app.execute(planted.encode())
    assert gaps(told) == [(stage, "welcome", 1, 0)]
    assert why in seam(told, stage).why
    assert repair(scene(told), by="bea") == Repaired(0, 0, 0, 0, 0)


def test_nothing_is_repaired_while_the_project_is_held(told: Shop) -> None:
    told.app.execute("UPDATE tidings.project SET held_reason = 'A copy.'")
    with pytest.raises(NotAllowed, match="A copy"):
        repair(scene(told), by="bea")


def test_a_window_reaches_no_further_back_than_the_ledger(told: Shop) -> None:
    found = reconcile(scene(told, weeks=30))
    assert found.begin == told.clock.now() - timedelta(days=90)
    assert found.notes[0].startswith("The ledger remembers nothing from before")


def test_while_everything_moves_nothing_is_taken_for_lost(shop: Shop) -> None:
    live(shop, INSERTED)
    stop = threading.Event()

    def write() -> None:
        with psycopg.connect(shop.url, autocommit=True) as app:
            for number in itertools.count(100):
                if stop.is_set():
                    return
                app.execute(
                    "INSERT INTO shop.customers (id, email, created_at) VALUES (%s, %s, '2026-06-01 14:00Z')",
                    (number, f"{number}@x.test"),
                )

    def work() -> None:
        while not stop.is_set():
            drain(shop.engine)

    with ThreadPoolExecutor(2) as pool:
        moving = [pool.submit(write), pool.submit(work)]
        try:
            found = [gaps(shop) for _ in range(8)]
        finally:
            stop.set()
        for one in moving:
            one.result()
    assert found == [[]] * 8
    drain(shop.engine)
    assert gaps(shop) == []
    assert seam(shop, "rows").seen == len(shop.inbox()) > 8
