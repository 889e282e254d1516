"""The claim: which changes start runs, whose they are, and that none is lost or taken twice."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from psycopg import Connection

from runtime.clock import ShiftedClock, VirtualClock
from runtime.engine.claim import Claimed, claim
from runtime.engine.drain import drain
from runtime.engine.perform import perform
from runtime.engine.sweep import due_work
from runtime.engine.tick import tick
from runtime.ledger.database import Ledger
from runtime.ledger.project import hold, release
from runtime.publishing.publish import unpublish
from runtime.source.reader import Source
from tests.engine_runs import Shop
from tests.publishing import SEND, spec

pytestmark = pytest.mark.usefixtures("approved")
STAFF = {**SEND, "to": "SELECT s.id AS key, s.email FROM shop.staff s", "texts": [{"subject": "x", "body": "y"}]}
REVIEWS = {"change": "shop.reviews", "ops": ["insert", "update"]}


@pytest.fixture
def shop(app: Connection[Any], ledger: Ledger, source: Source, database: str, clock: VirtualClock) -> Shop:
    return Shop.furnished(app, ledger, source, database, clock)


def started(shop: Shop) -> list[Any]:
    """Claim everything, and return the id of the row that each new run is about, in the order of the runs."""
    while claim(shop.engine).events:
        pass
    rows = shop.rows(
        "SELECT coalesce(e.new, e.old)->'id' AS id FROM tidings.run r"
        " JOIN tidings.event e ON e.project_id = 1 AND e.id = r.event_id ORDER BY r.id"
    )
    shop.app.execute("DELETE FROM tidings.run")
    return [row["id"] for row in rows]


def reviews(shop: Shop, *bodies: str | None, start: int = 1) -> None:
    """Write reviews in one statement."""
    rows = [(number, 1, 1, 1, body) for number, body in enumerate(bodies, start)]
    with shop.app.transaction(), shop.app.cursor() as cursor:
        for row in rows:
            cursor.execute("INSERT INTO shop.reviews VALUES (%s, %s, %s, %s, %s)", row)


def test_becomes_is_an_edge_also_out_of_null_and_for_a_row_that_arrives_in_the_state(shop: Shop) -> None:
    shop.publish(spec(trigger={"change": "shop.reviews", "becomes": "body = 'bad'"}, steps=[STAFF]))
    reviews(shop, "good", "bad", None)
    assert started(shop) == [2]
    shop.app.execute("UPDATE shop.reviews SET body = 'bad'")
    assert started(shop) == [1, 3]
    shop.app.execute("UPDATE shop.reviews SET stars = 2")
    shop.app.execute("UPDATE shop.reviews SET body = NULL")
    assert started(shop) == []
    shop.app.execute("UPDATE shop.reviews SET body = 'bad' WHERE id = 1; DELETE FROM shop.reviews WHERE id = 2")
    assert started(shop) == [1]


def test_columns_is_each_change_of_a_value_null_among_them(shop: Shop) -> None:
    trigger = {"change": "shop.reviews", "columns": ["body", "stars"], "when": "new.stars > 1"}
    shop.publish(spec(trigger=trigger, steps=[STAFF]))
    reviews(shop, "a", None)
    shop.app.execute("UPDATE shop.reviews SET stars = 2")
    assert started(shop) == [1, 2]
    shop.app.execute("UPDATE shop.reviews SET stars = 2, body = coalesce(body, 'was null')")
    assert started(shop) == [2]
    shop.app.execute("UPDATE shop.reviews SET body = NULL WHERE id = 1; UPDATE shop.reviews SET stars = 1")
    assert started(shop) == [1]


def test_when_holds_only_when_it_is_true(shop: Shop) -> None:
    trigger = {"change": "shop.reviews", "ops": ["insert", "update", "delete"], "when": "new.body <> old.body"}
    shop.publish(spec(trigger=trigger, steps=[STAFF]))
    reviews(shop, "a", "b", None)
    shop.app.execute("UPDATE shop.reviews SET body = CASE id WHEN 1 THEN 'c' WHEN 2 THEN NULL ELSE 'd' END")
    shop.app.execute("DELETE FROM shop.reviews")
    assert started(shop) == [1]


def test_deletes_start_runs_of_the_row_that_is_gone(shop: Shop) -> None:
    shop.publish(spec(trigger={"change": "shop.reviews", "ops": ["delete"], "when": "old.stars = 1"}, steps=[STAFF]))
    reviews(shop, "a", "b")
    shop.app.execute("UPDATE shop.reviews SET stars = 5 WHERE id = 2; DELETE FROM shop.reviews")
    assert started(shop) == [1]


def test_a_thousand_rows_of_one_statement_are_a_thousand_runs_in_capture_order(shop: Shop) -> None:
    shop.publish(spec(trigger=REVIEWS, steps=[STAFF]))
    shop.app.execute("INSERT INTO shop.reviews SELECT n, 1, 1, 1 FROM generate_series(1000, 1, -1) n")
    claimed = claim(shop.engine, limit=2_000)
    assert (claimed.events, claimed.runs) == (1_000, 1_000)
    work = shop.rows("SELECT id, ids, kind FROM tidings.work ORDER BY id")
    assert [row["id"] for row in work] == claimed.work
    assert {(row["kind"], len(row["ids"])) for row in work} == {("advance", 200)}
    assert [run for row in work for run in row["ids"]] == sorted(run for row in work for run in row["ids"])
    assert started(shop) == list(range(1_000, 0, -1))
    assert claim(shop.engine) == Claimed()


def test_the_event_stays_with_its_run_at_the_commits_time_on_the_clock(shop: Shop) -> None:
    shop.publish(spec(trigger=REVIEWS, steps=[STAFF]))
    shop.app.execute("INSERT INTO shop.reviews VALUES (7, 1, 1, 1)")
    shifted = ShiftedClock(timedelta(days=3))
    captured = shop.rows("SELECT id, captured_at FROM tidings.outbox")[0]
    claim(replace(shop.engine, clock=shifted))
    [run] = shop.rows("SELECT event_id, at, step_at, state, step FROM tidings.run")
    [event] = shop.rows("SELECT id, at, op::text, key, new, old FROM tidings.event")
    assert run["at"] == run["step_at"] == event["at"] == captured["captured_at"] + timedelta(days=3)
    assert (event["id"], run["event_id"], run["state"], run["step"]) == (captured["id"], captured["id"], "active", 0)
    assert (event["op"], event["key"], event["old"]) == ("i", {"id": 7}, None)


def test_changes_that_start_nothing_are_gone_and_counted_by_the_clause_that_failed(shop: Shop) -> None:
    trigger = {
        "change": "shop.reviews",
        "ops": ["insert", "update"],
        "becomes": "lower(body) = 'bad'",
        "when": "length(new.body) = new.stars",
    }
    shop.publish(spec(trigger=trigger, steps=[STAFF]))
    shop.publish(spec("gone", trigger={"change": "shop.reviews", "ops": ["delete"]}, steps=[STAFF]))
    reviews(shop, "good", "BAD", "Bad", None)
    shop.app.execute(
        "UPDATE shop.reviews SET stars = 3 WHERE id = 2; UPDATE shop.reviews SET body = 'bad', stars = 3 WHERE id = 1"
    )
    shop.app.execute("DELETE FROM shop.reviews WHERE id = 4")
    claimed = claim(shop.engine)
    assert (claimed.events, claimed.runs) == (7, 2)
    counts = shop.rows("SELECT * FROM tidings.match_count ORDER BY version_id")
    told = ("seen", "matched", "not_op", "not_becomes", "not_before", "not_when", "failed")
    assert [tuple(row[name] for name in told) for row in counts] == [(7, 1, 1, 2, 1, 2, 0), (7, 1, 6, 0, 0, 0, 0)]
    assert shop.rows("SELECT count(*) AS n FROM tidings.event")[0]["n"] == 2
    shop.app.execute("UPDATE shop.reviews SET stars = 4 WHERE id = 2")
    claim(shop.engine)
    counts = shop.rows("SELECT seen, not_before, day FROM tidings.match_count ORDER BY version_id")
    assert (counts[0]["seen"], counts[0]["not_before"]) == (8, 2)
    assert counts[0]["day"] == shop.clock.now().date()


def test_one_bad_row_is_dead_lettered_for_that_version_and_everything_else_goes_on(shop: Shop) -> None:
    shop.publish(spec("cast", trigger={**REVIEWS, "when": "CAST(new.body AS int) > 5"}, steps=[STAFF]))
    shop.publish(spec("all", trigger=REVIEWS, steps=[STAFF]))
    reviews(shop, *("7" for _ in range(20)), "seven", *("3" for _ in range(20)), "nine", "8")
    claimed = claim(shop.engine)
    assert (claimed.events, claimed.runs) == (43, 21 + 43)
    dead = shop.dead()
    assert [(row["stage"], row["payload"]["new"]["body"]) for row in dead] == [("match", "seven"), ("match", "nine")]
    assert dead[0]["error"] == 'invalid input syntax for type integer: "seven"'
    assert (dead[0]["payload"]["op"], dead[0]["payload"]["key"], dead[0]["run_id"]) == ("i", {"id": 21}, None)
    failed = shop.rows("SELECT seen, matched, not_when, failed FROM tidings.match_count ORDER BY version_id")[0]
    assert failed == {"seen": 43, "matched": 21, "not_when": 20, "failed": 2}


def test_a_column_that_is_gone_fails_its_version_at_once_and_no_other(shop: Shop) -> None:
    shop.publish(spec("drifts", trigger={**REVIEWS, "when": "new.body IS NULL"}, steps=[STAFF]))
    shop.publish(spec("stays", trigger={**REVIEWS, "when": "new.stars = 1"}, steps=[STAFF]))
    shop.app.execute("INSERT INTO shop.reviews SELECT n, 1, 1, 1 FROM generate_series(1, 100) n")
    shop.app.execute("ALTER TABLE shop.reviews RENAME COLUMN body TO words")
    claimed = claim(shop.engine)
    assert (claimed.events, claimed.runs) == (100, 100)
    assert {(row["stage"], row["error"]) for row in shop.dead()} == {("match", "column new.body does not exist")}
    assert len(shop.dead()) == 100


def test_a_table_that_is_gone_does_not_wedge_the_claim(shop: Shop) -> None:
    shop.publish(spec("drifts", trigger={**REVIEWS, "when": "new.body IS NULL"}, steps=[STAFF]))
    shop.publish(spec())
    reviews(shop, None)
    shop.app.execute("UPDATE shop.orders SET status = 'shipped' WHERE id = 1; DROP TABLE shop.reviews")
    assert claim(shop.engine).runs == 1
    assert [row["stage"] for row in shop.dead()] == ["match"]


def test_a_missing_right_does_not_wedge_the_claim(shop: Shop, database: str) -> None:
    shop.app.execute(
        "ALTER TABLE shop.customers ADD COLUMN level shop.plan; CREATE ROLE claiming LOGIN PASSWORD 'x';"
        "GRANT USAGE ON SCHEMA tidings TO claiming; GRANT ALL ON ALL TABLES IN SCHEMA tidings TO claiming;"
        "GRANT SELECT ON ALL SEQUENCES IN SCHEMA tidings TO claiming"
    )
    try:
        shop.publish(spec("plans", trigger={"change": "shop.customers", "becomes": "plan = 'pro'"}, steps=[STAFF]))
        shop.app.execute("UPDATE shop.customers SET plan = 'pro' WHERE id = 1")
        with Ledger(_as(database, "claiming")) as ledger:
            claimed = claim(replace(shop.engine, ledger=ledger))
        assert (claimed.events, claimed.runs) == (1, 0)
        assert [row["error"] for row in shop.dead()] == ["permission denied for schema shop"]
    finally:
        shop.app.execute("DROP OWNED BY claiming; DROP ROLE claiming")


def _as(url: str, role: str) -> str:
    parts = psycopg.conninfo.conninfo_to_dict(url) | {"user": role, "password": "x"}
    return psycopg.conninfo.make_conninfo("", **parts)


def test_a_domain_that_refuses_null_disturbs_nobody_who_does_not_read_it(shop: Shop) -> None:
    shop.app.execute(
        "CREATE DOMAIN shop.mood AS text NOT NULL CHECK (value <> '');"
        "ALTER TABLE shop.reviews ADD COLUMN mood shop.mood DEFAULT 'calm'"
    )
    shop.publish(spec(trigger={**REVIEWS, "when": "new.stars = 1 AND old.stars IS NULL"}, steps=[STAFF]))
    shop.app.execute("INSERT INTO shop.reviews VALUES (1, 1, 1, 1)")
    assert started(shop) == [1]
    assert shop.dead() == []


def test_changes_that_commit_out_of_order_are_all_taken(shop: Shop, database: str) -> None:
    shop.publish(spec(trigger=REVIEWS, steps=[STAFF]))
    with psycopg.connect(database) as late, psycopg.connect(database) as later:
        late.execute("INSERT INTO shop.reviews VALUES (1, 1, 1, 1)")
        shop.app.execute("INSERT INTO shop.reviews VALUES (2, 1, 1, 1)")
        later.execute("INSERT INTO shop.reviews VALUES (3, 1, 1, 1)")
        shop.app.execute("INSERT INTO shop.reviews VALUES (4, 1, 1, 1)")
        assert started(shop) == [2, 4]
        later.commit()
        assert started(shop) == [3]
        late.commit()
    assert started(shop) == [1]


def test_changes_belong_to_the_version_that_was_live_when_they_were_made(shop: Shop, database: str) -> None:
    def owners() -> list[tuple[str, int, Any]]:
        claim(shop.engine)
        rows = shop.rows(
            "SELECT w.name, v.number, e.new->'id' AS id FROM tidings.run r JOIN tidings.event e ON e.id = r.event_id"
            " JOIN tidings.workflow_version v ON v.id = r.version_id JOIN tidings.workflow w ON w.id = v.workflow_id"
            " ORDER BY e.id, w.name"
        )
        return [(row["name"], row["number"], row["id"]) for row in rows]

    shop.publish(spec("first", trigger=REVIEWS, steps=[STAFF]))
    claim(shop.engine)
    shop.app.execute("INSERT INTO shop.reviews VALUES (1, 1, 1, 1)")
    with psycopg.connect(database) as slow:
        slow.execute("INSERT INTO shop.reviews VALUES (2, 1, 1, 1)")
        shop.publish(spec("first", trigger=REVIEWS, steps=[STAFF], about="Now another."))
        shop.publish(spec("other", trigger=REVIEWS, steps=[STAFF]))
        shop.app.execute("INSERT INTO shop.reviews VALUES (3, 1, 1, 1)")
        assert owners() == [("first", 1, 1), ("first", 2, 3), ("other", 1, 3)]
        unpublish(shop.engine.ledger, database, "first", clock=shop.clock)
        shop.app.execute("INSERT INTO shop.reviews VALUES (4, 1, 1, 1)")
        slow.commit()
    assert owners() == [("first", 1, 1), ("first", 1, 2), ("first", 2, 3), ("other", 1, 3), ("other", 1, 4)]


def test_two_claims_at_once_take_each_change_once(shop: Shop) -> None:
    shop.publish(spec(trigger=REVIEWS, steps=[STAFF]))
    shop.app.execute("INSERT INTO shop.reviews SELECT n, 1, 1, 1 FROM generate_series(1, 500) n")
    both = threading.Barrier(4)

    def take(_: int) -> int:
        both.wait(timeout=5)
        total = 0
        while (claimed := claim(shop.engine, limit=50)).events:
            total += claimed.runs
        return total

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(take, range(4))) == 500
    assert sorted(started(shop)) == list(range(1, 501))


def test_a_claim_that_breaks_off_after_its_inserts_loses_and_doubles_nothing(shop: Shop) -> None:
    shop.publish(spec(trigger=REVIEWS, steps=[STAFF]))
    reviews(shop, "a", "b")
    shop.app.execute(
        "CREATE FUNCTION public.die() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END';"
        "CREATE TRIGGER die AFTER INSERT ON tidings.work FOR EACH ROW EXECUTE FUNCTION public.die()"
    )
    with pytest.raises(psycopg.OperationalError):
        claim(shop.engine)
    assert shop.runs() == []
    shop.app.execute("DROP TRIGGER die ON tidings.work")
    assert started(shop) == [1, 2]


def test_nothing_happens_while_the_project_is_held(shop: Shop) -> None:
    waits = [{"wait": "a", "for": "1 hour"}, STAFF]
    shop.publish(spec(trigger=REVIEWS, steps=waits, if_="EXISTS (SELECT FROM shop.staff)"))
    reviews(shop, "a")
    drain(shop.engine)
    reviews(shop, "b", start=2)
    claimed = claim(shop.engine)
    with shop.engine.ledger.connection() as conn:
        hold(conn, 1, "A person looks into it.")
    reviews(shop, "c", start=3)
    shop.clock.advance_to(shop.clock.now() + timedelta(hours=2))
    assert claim(shop.engine) == Claimed()
    assert tick(shop.engine) == []
    assert due_work(shop.engine) == []
    assert perform(shop.engine, claimed.work[0]) == []
    assert drain(shop.engine) == 0
    assert shop.inbox() == []
    with shop.engine.ledger.connection() as conn:
        release(conn, 1)
    drain(shop.engine)
    assert len(shop.inbox()) == 2, "what waited until now"
    shop.pass_time(hours=1)
    assert len(shop.inbox()) == 6, "what was captured meanwhile"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("UPDATE tidings.project SET system_identifier = '1'", "another Postgres cluster"),
        ("UPDATE tidings.project SET database_name = 'before'", "in database 'before'"),
        ("UPDATE tidings.project SET table_oid = 1", "restored from a dump"),
        ("UPDATE tidings.project SET environment = 'production'", "set up as 'production'"),
    ],
)
def test_a_copied_database_is_held_and_says_why(shop: Shop, change: str, reason: str) -> None:
    shop.publish(spec(trigger=REVIEWS, steps=[STAFF]))
    reviews(shop, "a")
    shop.app.execute(change.encode())
    assert claim(shop.engine) == Claimed()
    assert tick(shop.engine) == []
    [held] = shop.rows("SELECT held_reason FROM tidings.project")
    assert reason in held["held_reason"]
    assert shop.rows("SELECT count(*) AS n FROM tidings.outbox") == [{"n": 1}]


def test_changes_of_another_projects_hook_are_left_alone(shop: Shop) -> None:
    shop.app.execute(
        "INSERT INTO tidings.project (id, name, system_identifier, database_name, secret) VALUES (2, 'b', '', '', '');"
        "INSERT INTO tidings.hook (project_id, relation, key_columns) VALUES (2, 'shop.orders', '{id}');"
        "INSERT INTO tidings.outbox (hook_id, generation, op, captured_at) SELECT id, 1, 'i', now() FROM tidings.hook;"
        "INSERT INTO tidings.outbox (hook_id, generation, op, captured_at) VALUES (999, 1, 'i', now())"
    )
    assert claim(shop.engine).events == 1
    assert shop.rows("SELECT h.project_id FROM tidings.outbox o JOIN tidings.hook h ON h.id = o.hook_id") == [
        {"project_id": 2}
    ]


def test_a_run_of_a_workflow_with_an_if_starts_before_its_first_step(shop: Shop) -> None:
    shop.publish(spec(trigger=REVIEWS, steps=[STAFF], if_="EXISTS (SELECT FROM shop.staff)"))
    reviews(shop, "a")
    claim(shop.engine)
    assert shop.rows("SELECT step FROM tidings.run") == [{"step": -1}]


def test_a_table_may_have_columns_that_are_called_as_our_own_are(shop: Shop) -> None:
    shop.app.execute(
        "CREATE TABLE shop.audit (id int PRIMARY KEY, op text, at timestamptz, new_data jsonb, event text);"
        "INSERT INTO tidings.approved_table VALUES (1, 'shop.audit')"
    )
    trigger = {"change": "shop.audit", "becomes": "op = 'refund' AND event IS NOT NULL", "columns": ["op"]}
    shop.publish(spec(trigger=trigger, steps=[STAFF]))
    shop.app.execute("INSERT INTO shop.audit VALUES (1, 'refund', now(), '{}', 'x'), (2, 'sale', now(), '{}', 'x')")
    assert started(shop) == [1]
