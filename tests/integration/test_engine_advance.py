"""Advancing: steps and their conditions for many runs at once, and what becomes of the one that can't go on."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg import Connection

from runtime.clock import VirtualClock
from runtime.engine.claim import claim
from runtime.engine.drain import drain
from runtime.engine.perform import perform
from runtime.engine.questions import asking
from runtime.engine.runs import Decisions, Run
from runtime.errors import Permanent
from runtime.ledger.database import Ledger
from runtime.source.reader import Source
from runtime.spec.compiled import Statement
from tests.engine_runs import Shop
from tests.publishing import SEND, spec

pytestmark = pytest.mark.usefixtures("approved")
SHIP = "UPDATE shop.orders SET status = 'shipped', shipped_at = '2026-06-01T11:00Z' WHERE id = {}"
SHIP_ALL = "UPDATE shop.orders SET status = 'shipped'"


@pytest.fixture
def shop(app: Connection[Any], ledger: Ledger, source: Source, database: str, clock: VirtualClock) -> Shop:
    return Shop.furnished(app, ledger, source, database, clock)


def send(**parts: Any) -> dict[str, Any]:
    """Build a send to the customer of the order."""
    return {**SEND, **{key.rstrip("_"): value for key, value in parts.items()}}


def text(subject: str, body: str = "x") -> list[dict[str, str]]:
    return [{"subject": subject, "body": body}]


def test_a_change_becomes_a_delivered_message(shop: Shop) -> None:
    shop.publish(spec())
    shop.write(SHIP.format(1))
    assert shop.inbox() == [("1@x.test", "Order 1")]
    assert shop.runs() == [("completed", None)]
    assert shop.results() == [("tell", "done", "")]
    assert shop.rows("SELECT count(*) AS n FROM tidings.work") == [{"n": 0}]


def test_if_ends_the_runs_for_which_it_is_not_true(shop: Shop) -> None:
    shop.publish(
        spec(if_="(SELECT c.marketing_opt_in FROM shop.customers c WHERE c.id = new.customer_id AND c.id < 3)")
    )
    shop.app.execute("UPDATE shop.customers SET marketing_opt_in = true WHERE id = 2")
    shop.write(SHIP_ALL)
    assert shop.inbox() == [("2@x.test", "Order 2")]
    assert shop.runs() == [("ended", "condition_false"), ("completed", None), ("ended", "condition_false")]
    assert shop.results()[0] == ("if", "ended", "condition_false")


def test_a_step_whose_if_is_not_true_is_skipped_and_the_next_goes_on(shop: Shop) -> None:
    steps = [
        {"query": "few", "sql": "SELECT 1 AS n", "if": "new.id <> 2"},
        {"wait": "long", "for": "1 day", "if": "new.id = 99"},
        send(if_="EXISTS (SELECT FROM few)"),
        send(send="all", texts=text("{{ new.id }}: {% for row in few %}{{ row.n }}{% endfor %}")),
    ]
    shop.publish(spec(steps=steps))
    shop.write(SHIP_ALL)
    assert sorted(shop.inbox()) == [
        ("1@x.test", "1: 1"),
        ("1@x.test", "Order 1"),
        ("2@x.test", "2:"),
        ("3@x.test", "3: 1"),
        ("3@x.test", "Order 3"),
    ]
    assert shop.results()[4:8] == [
        ("few", "skipped", "condition_false"),
        ("long", "skipped", "condition_false"),
        ("tell", "skipped", "condition_false"),
        ("all", "done", ""),
    ]


def test_what_queries_return_is_kept_exactly_and_reaches_later_sql_and_texts(shop: Shop) -> None:
    steps = [
        {
            "query": "sums",
            "sql": "SELECT 0.1 + 0.2 AS a, 12345678901234567890.5::numeric AS b, :now AS at, DATE '2026-02-03' AS d",
        },
        {"query": "more", "sql": "SELECT s.b + 1 AS b, s.at - interval '1 day' AS at, s.d + 1 AS d FROM sums s"},
        {"wait": "night", "for": "1 hour"},
        send(
            texts=text("{{ sums[0].a }} {{ more[0].b }} {{ more[0].at | date('UTC') }} {{ more[0].d | date('UTC') }}")
        ),
    ]
    shop.publish(spec(steps=steps))
    shop.write(SHIP.format(1))
    context = shop.rows("SELECT context::text AS text FROM tidings.run")[0]["text"]
    assert '"a": 0.3,' in context
    assert '"b": 12345678901234567890.5' in context
    shop.pass_time(hours=1)
    assert shop.inbox() == [("1@x.test", "0.3 12345678901234567891.5 May 31, 2026 February 4, 2026")]


def test_texts_see_the_change_as_it_was_and_the_row_as_it_is(shop: Shop) -> None:
    before, now = "{{ old.status | default('new') }}", "{{ live.total_cents | default('gone') }}"
    subject = f"{before}, {{{{ new.total_cents }}}}, {now}, {{{{ event.at }}}}"
    shop.publish(spec(steps=[{"wait": "a", "for": "1 hour"}, send(texts=text(subject))]))
    shop.write("UPDATE shop.orders SET status = 'shipped', total_cents = 7 WHERE id IN (1, 2)")
    shop.app.execute("UPDATE shop.orders SET total_cents = 9 WHERE id = 1; DELETE FROM shop.orders WHERE id = 2")
    shop.pass_time(hours=1)
    at = "2026-06-01T12:00:00+00:00"
    assert shop.inbox() == [("1@x.test", f"paid, 7, 9, {at}"), ("2@x.test", f"paid, 7, gone, {at}")]


def test_nobody_is_a_recorded_answer(shop: Shop) -> None:
    shop.publish(spec(steps=[send(to="SELECT s.email FROM shop.staff s WHERE s.id = new.id + 1"), send(send="after")]))
    shop.write(SHIP_ALL)
    assert shop.results()[:2] == [("tell", "done", ""), ("after", "done", "")]
    assert shop.results()[2:] == [("tell", "done", "nobody"), ("after", "done", "")] * 2
    assert len(shop.inbox()) == 4


def test_one_bad_row_fails_its_run_with_a_reason_and_no_other(shop: Shop) -> None:
    shop.app.execute(
        "INSERT INTO shop.orders (id, customer_id, status, total_cents, placed_at)"
        " SELECT n, 1, 'paid', n, '2026-05-01' FROM generate_series(4, 150) n"
    )
    shop.publish(spec(steps=[{"query": "share", "sql": "SELECT 100 / (new.total_cents - 77) AS n"}, send()]))
    shop.write(SHIP_ALL)
    assert len(shop.inbox()) == 149
    [failed] = shop.rows("SELECT id, reason, step, finished_at FROM tidings.run WHERE state = 'failed'")
    assert (failed["reason"], failed["step"]) == ("Postgres says: division by zero.", 0)
    assert failed["finished_at"] == shop.clock.now()
    assert [(row["run_id"], row["stage"], row["error"]) for row in shop.dead()] == [
        (failed["id"], "advance", "Postgres says: division by zero.")
    ]
    assert ("share", "failed", "Postgres says: division by zero.") in shop.results()


@pytest.mark.parametrize(
    "parts",
    [
        {"if_": "1 / (new.id - 2) < 5"},
        {"while_": "1 / (new.id - 2) < 5"},
        {"steps": [send(if_="1 / (new.id - 2) < 5")]},
        {"steps": [{"wait": "w", "until": "event.at - interval '1 day' / abs(new.id - 2)"}, send()]},
        {
            "steps": [
                send(to="SELECT c.email FROM shop.customers c WHERE c.id = new.customer_id AND 1 / (new.id - 2) < 5")
            ]
        },
    ],
    ids=["if", "while", "step if", "until", "to"],
)
def test_each_kind_of_question_fails_alone(shop: Shop, parts: dict[str, Any]) -> None:
    shop.publish(spec(**parts))
    shop.write(SHIP_ALL)
    assert [recipient for recipient, _ in shop.inbox()] == ["1@x.test", "3@x.test"]
    assert shop.runs()[1] == ("failed", "Postgres says: division by zero.")


def test_a_statement_that_must_fail_for_every_run_is_asked_of_no_halves(shop: Shop) -> None:
    shop.publish(spec(steps=[{"query": "words", "sql": "SELECT r.body FROM shop.reviews r"}, send()]))
    shop.app.execute(
        "INSERT INTO shop.orders (id, customer_id, status, total_cents, placed_at)"
        " SELECT n, 1, 'paid', n, '2026-05-01' FROM generate_series(4, 100) n"
    )
    shop.app.execute("ALTER TABLE shop.reviews RENAME COLUMN body TO words")
    shop.write(SHIP_ALL)
    assert shop.runs() == [("failed", "Postgres says: column r.body does not exist.")] * 100
    assert len(shop.dead()) == 100


def test_what_fails_over_no_run_at_all_is_asked_once(source: Source, clock: VirtualClock) -> None:
    now = clock.now()
    runs = [Run(n, 1, "active", 0, now, now, None, None, None, "{}") for n in range(50)]
    decided = Decisions(now=now, runs={run.id: run for run in runs}, open={run.id for run in runs})
    asked: list[None] = []
    statement = Statement(sql="SELECT run.run_id, nosuch FROM unnest(%(ids)s::bigint[]) AS run(run_id)")
    with asking(source, decided, lambda: asked.append(None)) as questions:
        assert questions.rows(statement, runs, "step") == {}
    assert (len(asked), decided.open, len(decided.errors)) == (1, set(), 50)


def test_more_rows_than_a_run_may_have_fail_that_run(shop: Shop) -> None:
    steps = [{"query": "many", "sql": "SELECT n FROM generate_series(1, new.total_cents * 5) n"}, send()]
    shop.publish(spec(steps=steps))
    shop.write(SHIP_ALL)
    assert [recipient for recipient, _ in shop.inbox()] == ["1@x.test", "2@x.test"]
    [failed] = shop.rows("SELECT reason FROM tidings.run WHERE state = 'failed'")
    assert failed["reason"].startswith("1 run(s) got more than 1000 rows.")


def test_while_ends_a_waiting_run_and_tells_a_gone_row_from_a_changed_one(shop: Shop) -> None:
    shop.publish(spec(while_="live.status = 'shipped'", steps=[{"wait": "a", "for": "1 hour"}, send()]))
    shop.write(SHIP_ALL)
    shop.app.execute("UPDATE shop.orders SET status = 'cancelled' WHERE id = 1; DELETE FROM shop.orders WHERE id = 2")
    assert shop.runs() == [("waiting", None)] * 3
    shop.pass_time(hours=1)
    assert shop.inbox() == [("3@x.test", "Order 3")]
    assert shop.runs() == [("ended", "while_false"), ("ended", "gone"), ("completed", None)]
    assert shop.results() == [
        ("a", "ended", "while_false"),
        ("a", "ended", "gone"),
        ("a", "done", ""),
        ("tell", "done", ""),
    ]


def test_while_is_asked_right_before_each_send(shop: Shop) -> None:
    shop.publish(spec(while_="live.total_cents = 5", steps=[send()]))
    shop.app.execute(SHIP_ALL)
    shop.write("UPDATE shop.orders SET total_cents = 5 WHERE id = 3")
    assert [recipient for recipient, _ in shop.inbox()] == ["3@x.test"]
    assert shop.results()[:2] == [("tell", "ended", "while_false")] * 2


def test_a_run_of_a_deleted_row_is_not_gone(shop: Shop) -> None:
    trigger = {"change": "shop.orders", "ops": ["delete"]}
    to = "SELECT c.email FROM shop.customers c WHERE c.id = old.customer_id"
    steps = [send(to=to, texts=text("{{ old.id }} is no more"))]
    shop.publish(spec(trigger=trigger, while_="EXISTS (SELECT FROM shop.staff)", steps=steps))
    shop.write("DELETE FROM shop.orders WHERE id = 1")
    assert shop.inbox() == [("1@x.test", "1 is no more")]
    shop.app.execute("DELETE FROM shop.staff")
    shop.write("DELETE FROM shop.orders WHERE id = 2")
    assert shop.runs()[1] == ("ended", "while_false")


def test_runs_of_several_versions_at_several_steps_go_on_in_one_piece_of_work(shop: Shop) -> None:
    shop.publish(spec("one", steps=[send()]))
    shop.publish(spec("two", steps=[{"query": "q", "sql": "SELECT 1 AS n"}, send(texts=text("two {{ new.id }}"))]))
    shop.app.execute(SHIP_ALL)
    claimed = claim(shop.engine)
    assert (claimed.runs, len(claimed.work)) == (6, 2)
    shop.app.execute(
        "DELETE FROM tidings.work WHERE id = (SELECT max(id) FROM tidings.work);"
        "UPDATE tidings.work SET ids = (SELECT array_agg(id ORDER BY id) FROM tidings.run)"
    )
    drain(shop.engine)
    assert sorted(subject for _, subject in shop.inbox()) == [
        *("Order 1", "Order 2", "Order 3"),
        *("two 1", "two 2", "two 3"),
    ]


def test_what_was_just_made_is_begun_in_the_same_transaction_and_delivered_in_the_same_breath(shop: Shop) -> None:
    shop.publish(spec())
    shop.app.execute(SHIP_ALL)
    [work] = claim(shop.engine).work
    nudged: list[int] = []
    assert perform(shop.engine, work, nudge=nudged.extend) == []
    assert (len(shop.inbox()), nudged) == (3, [])
    assert shop.rows("SELECT 1 FROM tidings.work") == []


def test_two_workers_with_the_same_work_do_it_once(shop: Shop) -> None:
    shop.publish(spec())
    shop.app.execute(SHIP_ALL)
    [work] = claim(shop.engine).work
    both = threading.Barrier(4)

    def do(_: int) -> list[int]:
        both.wait(timeout=5)
        return perform(shop.engine, work)

    with ThreadPoolExecutor(4) as pool:
        following = [found for found in pool.map(do, range(4)) if found]
    assert len(following) == 1
    drain(shop.engine)
    assert len(shop.inbox()) == 3


def test_a_worker_that_lost_its_lease_writes_nothing(shop: Shop) -> None:
    shop.publish(spec(steps=[{"query": "slow", "sql": "SELECT count(*) AS n FROM shop.reviews r"}, send()]))
    shop.app.execute(SHIP_ALL)
    [work] = claim(shop.engine).work
    hurried = replace(shop.engine, lease=timedelta())
    with psycopg.connect(shop.url) as other, ThreadPoolExecutor(1) as pool:
        other.execute("LOCK TABLE shop.reviews")
        slow = pool.submit(perform, hurried, work)
        _wait_for(shop, "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%reviews%'")
        shop.app.execute("UPDATE tidings.work SET attempts = attempts + 1")
        other.rollback()
        assert slow.result(timeout=5) == []
    assert shop.runs() == [("active", None)] * 3
    drain(shop.engine)
    assert len(shop.inbox()) == 3


def _wait_for(shop: Shop, question: str) -> None:
    deadline = datetime.now(UTC) + timedelta(seconds=5)
    while not shop.rows(question):
        assert datetime.now(UTC) < deadline, question


def test_a_crash_before_the_commit_leaves_the_work_owed_and_nothing_doubled(shop: Shop) -> None:
    shop.publish(spec())
    shop.app.execute(SHIP_ALL)
    [work] = claim(shop.engine).work
    shop.app.execute(
        "CREATE FUNCTION public.die() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END';"
        "CREATE TRIGGER die AFTER INSERT ON tidings.message FOR EACH ROW EXECUTE FUNCTION public.die()"
    )
    with pytest.raises(psycopg.OperationalError):
        perform(shop.engine, work)
    shop.app.execute("DROP TRIGGER die ON tidings.message")
    assert (shop.runs(), shop.results()) == ([("active", None)] * 3, [])
    [given_back] = shop.rows("SELECT due_at - %(now)s AS pause, lease_until FROM tidings.work", now=shop.clock.now())
    assert given_back == {"pause": timedelta(seconds=2), "lease_until": None}
    shop.pass_time(seconds=2)
    assert len(shop.inbox()) == 3


def test_work_that_kept_breaking_off_is_done_in_halves(shop: Shop) -> None:
    shop.publish(spec())
    shop.app.execute(SHIP_ALL)
    [work] = claim(shop.engine).work
    shop.app.execute("UPDATE tidings.work SET attempts = 5")
    halves = perform(shop.engine, work)
    ids = shop.rows("SELECT id, ids FROM tidings.work ORDER BY id")
    assert ([row["id"] for row in ids], [len(row["ids"]) for row in ids]) == (halves, [1, 2])
    drain(shop.engine)
    assert len(shop.inbox()) == 3


def test_a_source_that_does_not_answer_fails_no_run(shop: Shop) -> None:
    shop.publish(spec())
    shop.app.execute(SHIP_ALL)
    [work] = claim(shop.engine).work
    with psycopg.connect(shop.url) as other:
        other.execute("LOCK TABLE shop.customers")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            perform(shop.engine, work)
    assert (shop.runs(), shop.dead()) == ([("active", None)] * 3, [])


def test_runs_of_a_paused_workflow_rest_and_go_on_later(shop: Shop) -> None:
    shop.publish(spec("paused"))
    shop.publish(spec("other", steps=[send(texts=text("other"))]))
    shop.app.execute("UPDATE tidings.workflow SET paused_at = now() WHERE name = 'paused'")
    shop.write(SHIP.format(1))
    assert shop.inbox() == [("1@x.test", "other")]
    shop.pass_time(minutes=5)
    assert shop.runs() == [("active", None), ("completed", None)]
    shop.app.execute("UPDATE tidings.workflow SET paused_at = NULL")
    shop.pass_time(minutes=1)
    assert shop.inbox() == [("1@x.test", "other"), ("1@x.test", "Order 1")]


def followers(shop: Shop, count: int) -> None:
    """Write customers from id 10 on, with a Slack handle."""
    numbers = f"generate_series(10, {count + 9}) n"
    shop.app.execute(f"INSERT INTO shop.customers (id, email, slack_handle) SELECT n, n, '@u' || n FROM {numbers}")


def test_a_send_to_very_many_people_reaches_each_once(shop: Shop) -> None:
    followers(shop, 2_500)
    key = "CASE WHEN c.id % 7 = 0 THEN 2000 - c.id ELSE c.id END"
    where = "c.id >= 10 AND c.id < 10 + new.id * 1200"
    to = f"SELECT c.slack_handle AS slack, {key} AS key FROM shop.customers c WHERE {where}"
    shop.publish(spec(steps=[send(to=to, channels=["slack"], texts=[{"body": "{{ new.id }} {{ recipient.key }}"}])]))
    shop.write("UPDATE shop.orders SET status = 'shipped' WHERE id IN (1, 2)")
    assert shop.runs() == [("completed", None)] * 2
    counts = shop.rows(
        "SELECT count(*) AS n, count(DISTINCT recipient_key) AS k FROM tidings.message GROUP BY run_id ORDER BY run_id"
    )
    keys = [len({2_000 - number if number % 7 == 0 else number for number in range(10, end)}) for end in (1_210, 2_410)]
    assert [tuple(row.values()) for row in counts] == [(count, count) for count in keys]
    bodies = shop.rows("SELECT text, recipient FROM tidings.inbox")
    assert len(bodies) == sum(keys)
    assert {"text": "2 2400", "recipient": "@u2400"} in bodies


def test_a_row_that_fails_among_very_many_people_fails_its_run_alone(shop: Shop) -> None:
    followers(shop, 1_500)
    to = "SELECT c.slack_handle AS slack, 1 / (1200 - c.id) AS x FROM shop.customers c WHERE c.id >= 10 AND new.id < 3"
    shop.publish(spec(steps=[send(to=to, channels=["slack"], texts=[{"body": "x"}])]))
    shop.write("UPDATE shop.orders SET status = 'shipped' WHERE id IN (1, 3)")
    assert shop.runs() == [("failed", "Postgres says: division by zero."), ("completed", None)]
    assert shop.rows("SELECT id FROM tidings.message") == []


def test_more_people_than_are_enough_for_one_piece_of_work_are_left_to_another(shop: Shop) -> None:
    followers(shop, 900)
    to = "SELECT c.slack_handle AS slack FROM shop.customers c WHERE c.id >= 10"
    shop.publish(spec(steps=[send(to=to, channels=["slack"], texts=[{"body": "x"}])]))
    shop.app.execute(SHIP_ALL)
    [work] = claim(shop.engine).work
    perform(shop.engine, work)
    assert [state for state, _ in shop.runs()] == ["completed", "completed", "active"]
    drain(shop.engine)
    assert len(shop.inbox()) == 3 * 900


def test_draining_what_never_rests_is_an_error(shop: Shop) -> None:
    shop.app.execute(
        "INSERT INTO tidings.work (project_id, kind, ids, due_at) VALUES (1, 'deliver', '{1}', '2026-01-01')"
    )
    drain(shop.engine)
    shop.app.execute("ALTER TABLE tidings.work DROP CONSTRAINT work_kind_check")
    shop.app.execute(
        "INSERT INTO tidings.work (project_id, kind, ids, due_at) VALUES (1, 'dance', '{1}', '2026-01-01')"
    )
    with pytest.raises(Permanent, match="is due again and again"):
        drain(shop.engine)


def test_people_without_an_address_and_suppressed_ones_have_a_message_that_says_why(shop: Shop) -> None:
    shop.app.execute("INSERT INTO tidings.suppression VALUES (1, '2@x.test', '', 'bounced', '', now())")
    email = "CASE WHEN c.id <> 3 THEN c.email END AS email"
    to = f"SELECT c.id AS key, {email} FROM shop.customers c WHERE c.id = new.customer_id"
    shop.publish(spec(steps=[send(to=to)]))
    shop.write(SHIP_ALL)
    assert shop.inbox() == [("1@x.test", "Order 1")]
    rows = shop.rows("SELECT recipient_key, status, reason FROM tidings.message_status ORDER BY 1")
    assert [tuple(row.values()) for row in rows] == [
        ("1", "sent", ""),
        ("2", "suppressed", "suppressed"),
        ("3", "failed", "no_address"),
    ]
