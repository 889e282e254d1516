"""The health page, `/healthz` and the metrics: what is wrong, what to do, and numbers that never fall."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as prometheus
from psycopg import Connection
from starlette.testclient import TestClient

from runtime.capture.acknowledge import acknowledge, acknowledgements, unseen_misses
from runtime.clock import VirtualClock
from runtime.console.desk import metrics_token
from runtime.engine.retention import prune
from runtime.engine.tally import take_census
from runtime.engine.upkeep import Upkeep
from runtime.ledger.database import Ledger
from runtime.source.reader import Source
from tests.consoles import desk_for, read, stranger, visitor
from tests.engine_runs import Shop
from tests.hooks import hook
from tests.publishing import SEND, spec

pytestmark = pytest.mark.usefixtures("approved")
NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
def clock() -> VirtualClock:
    """The console goes by the project's clock, so that what happens here happened today."""
    return VirtualClock(NOW)


@pytest.fixture
def shop(app: Connection[Any], ledger: Ledger, source: Source, database: str, clock: VirtualClock) -> Shop:
    return Shop.furnished(app, ledger, source, database, clock)


@pytest.fixture
def console(shop: Shop) -> Iterator[TestClient]:
    with visitor(desk_for(shop)) as client:
        yield client


def _kept_up(shop: Shop) -> Upkeep:
    upkeep = Upkeep(shop.engine)
    while upkeep.turn():
        pass
    take_census(shop.engine.ledger, least_age=timedelta())
    return upkeep


def _metrics(console: TestClient) -> dict[tuple[str, tuple[str, ...]], float]:
    """Return every sample by its name, and its labels' values in the order of their names."""
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in prometheus(console.get("/metrics").text)
        for sample in family.samples
    }


def _lead(shop: Shop) -> None:
    """Lead, as a dispatcher does, as long as the application's connection lives."""
    shop.app.execute("SELECT pg_advisory_lock(hashtext('tidings.leader'), 1)")


def test_a_project_in_order_is_green_at_one_glance(shop: Shop, console: TestClient) -> None:
    shop.publish(spec())
    shop.write("UPDATE shop.orders SET status = 'shipped'")
    _lead(shop)
    _kept_up(shop)
    said = read(console, "/health")
    assert "Health green Everything is as it should be." in said
    assert "dispatcher leads" in said
    assert "completed 3" in said
    assert "made 3 3" in said
    assert "sent 3 3" in said
    assert console.get("/healthz").json() == {"status": "green", "reasons": []}


def test_what_is_wrong_comes_first_with_what_to_do(shop: Shop, console: TestClient) -> None:
    shop.publish(spec())
    shop.write("UPDATE shop.orders SET status = 'shipped'")
    _kept_up(shop)
    shop.app.execute(
        "UPDATE shop.orders SET status = 'paid'; SELECT nextval('tidings.missed_1') FROM generate_series(1, 2)"
    )
    shop.app.execute(
        "INSERT INTO tidings.provider_pause VALUES (1, 'resend', %s, 'quota', 'daily quota')",
        [NOW + timedelta(hours=3)],
    )
    shop.app.execute("INSERT INTO tidings.dead_letter (project_id, stage, error) VALUES (1, 'match', 'bad')")
    said = read(console, "/health")
    assert "Health red Something is wrong." in said
    assert said.index("2 changed row(s) of shop.orders were missed") < said.index("resend is given nothing until")
    assert "Once you have seen it, say so: tidings acknowledge." in said
    assert "1 change(s) or run(s) could not be carried out" in said
    assert "none leads" in said
    answer = console.get("/healthz")
    assert answer.status_code == 503
    assert sorted(answer.json()["reasons"]) == ["captured changes were missed, or would be", "no dispatcher leads"]


def test_a_miss_that_a_person_has_seen_is_green_until_the_next_one(shop: Shop, console: TestClient) -> None:
    hook(shop.app, "shop.staff")
    shop.app.execute("SELECT nextval('tidings.missed_1') FROM generate_series(1, 5)")
    ledger = shop.engine.ledger
    seen = unseen_misses(shop.app, 1)
    assert [one.line() for one in seen] == ["shop.staff: 5 missed, not even their keys are known"]
    shop.app.execute("SELECT nextval('tidings.missed_1')")
    acknowledge(ledger, seen, by="ana", now=NOW, note="the disk was full")
    assert "1 changed row(s) of shop.staff were missed" in read(console, "/health")
    acknowledge(ledger, unseen_misses(shop.app, 1), by="bea", now=NOW)
    acknowledge(ledger, seen, by="ana", now=NOW)
    said = read(console, "/health")
    assert "Health green" in said
    assert "missed 6" in said
    assert "of these acknowledged 6" in said
    assert [(one.missed, one.by, one.note) for one in acknowledgements(shop.app, 1)] == [
        (1, "bea", ""),
        (5, "ana", "the disk was full"),
    ]
    shop.app.execute("SELECT nextval('tidings.missed_1')")
    assert console.get("/healthz").status_code == 503


def test_rows_known_by_key_that_a_person_has_seen_stay_to_be_made_up_for(shop: Shop, console: TestClient) -> None:
    hook(shop.app, "shop.staff", "email")
    shop.app.execute("ALTER TABLE shop.staff RENAME email TO mail")
    shop.app.execute("INSERT INTO shop.staff SELECT n, n || '@x.test', 'support' FROM generate_series(11, 13) n")
    shop.app.execute("ALTER TABLE shop.staff RENAME mail TO email")
    assert "3 changed row(s) of shop.staff are known by key only" in read(console, "/health")
    seen = unseen_misses(shop.app, 1, "shop.staff")
    shop.app.execute(
        "INSERT INTO tidings.outbox_key (hook_id, generation, op, error, captured_at) VALUES (1, 1, 'i', 'late', now())"
    )
    acknowledge(shop.engine.ledger, seen, by="ana", now=NOW)
    assert "1 changed row(s) of shop.staff are known by key only. Last: late" in read(console, "/health")
    shop.app.execute("DELETE FROM tidings.outbox_key WHERE error = 'late'")
    said = read(console, "/health")
    assert "Health green" in said
    assert "known by key only 3" in said
    assert _metrics(console)["tidings_changes_key_only", ()] == 3
    assert shop.rows("SELECT count(*) AS n FROM tidings.outbox_key WHERE handled_at IS NULL") == [{"n": 3}]


def test_the_metrics_say_what_happened_in_both_formats(shop: Shop, console: TestClient) -> None:
    shop.publish(spec())
    shop.publish(spec("later", steps=[{"wait": "settle", "for": "1 day"}, SEND]))
    shop.app.execute("INSERT INTO tidings.suppression VALUES (1, '2@x.test', '', 'manual', '', now())")
    shop.write("UPDATE shop.orders SET status = 'shipped'")
    _kept_up(shop)
    found = _metrics(console)
    assert found["tidings_runs_started_total", ("shipped",)] == 3
    assert found["tidings_messages_made_total", ("email", "shipped")] == 3
    assert found["tidings_messages_sent_total", ("inbox", "shipped")] == 2
    assert found["tidings_messages_suppressed_total", ("suppressed", "shipped")] == 1
    assert found["tidings_changes_matched_total", ("later",)] == 3
    assert found["tidings_runs", ("waiting",)] == 3
    assert found["tidings_leader", ()] == 0
    assert found["tidings_health", ()] == 2
    assert found["tidings_concerns", ("no_leader", "red")] == 1
    answer = console.get("/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    families = {family.name: family for family in open_metrics(answer.text)}  # type: ignore[no-untyped-call]
    assert all(family.documentation for family in families.values())
    assert families["tidings_messages_sent"].type == "counter"


def test_counters_never_fall_when_rows_are_removed(shop: Shop, console: TestClient, clock: VirtualClock) -> None:
    shop.publish(spec())
    shop.write("UPDATE shop.orders SET status = 'shipped'")
    upkeep = _kept_up(shop)
    before = {key: value for key, value in _metrics(console).items() if key[0].endswith("_total")}
    clock.advance_to(NOW + timedelta(days=1_000))
    while prune(shop.engine.ledger, now=clock.now(), rest=timedelta()):
        pass
    assert shop.runs() == []
    upkeep.turn()
    assert {key: value for key, value in _metrics(console).items() if key[0].endswith("_total")} == before


def test_a_message_reported_delivered_twice_is_counted_as_doubled(shop: Shop, console: TestClient) -> None:
    shop.publish(spec())
    shop.write("UPDATE shop.orders SET status = 'shipped'")
    shop.app.execute(
        "INSERT INTO tidings.delivery_event (project_id, message_id, kind, at, provider_event_id)"
        " SELECT 1, m.id, 'delivered', now(), m.id || e FROM tidings.message m, unnest('{a,b}'::text[]) e"
        " WHERE e = 'a' OR m.id = 2"
    )
    _kept_up(shop)
    found = _metrics(console)
    assert found["tidings_messages_doubled_total", ("reported", "shipped")] == 1
    assert found["tidings_delivery_reports_total", ("delivered", "shipped")] == 4
    assert "1 message(s) may have reached people twice since yesterday (1 reported)." in read(console, "/health")


def test_a_request_taken_long_after_one_that_may_have_been_taken_counts_as_doubled(
    shop: Shop, console: TestClient
) -> None:
    shop.publish(spec())
    shop.write("UPDATE shop.orders SET status = 'shipped' WHERE id < 3")
    shop.app.execute(
        "UPDATE tidings.delivery_batch SET provider = 'smtp', first_attempt_at = finished_at - interval '1 hour'"
    )
    _kept_up(shop)
    assert _metrics(console)["tidings_messages_doubled_total", ("late", "shipped")] == 2


def test_the_metrics_have_a_token_of_their_own_that_opens_nothing_else(shop: Shop) -> None:
    desk = desk_for(shop)
    bearer = {"authorization": f"Bearer {metrics_token(desk.token)}"}
    with stranger(desk) as client:
        assert client.get("/metrics", headers=bearer).status_code == 200
        assert client.post("/metrics", headers=bearer).status_code == 401
        assert client.get("/health", headers=bearer).status_code == 401
        assert client.get("/inbox", headers=bearer).status_code == 401
        assert client.get("/inbox", params={"token": metrics_token(desk.token)}).status_code == 403
        for other in ("", "Bearer ", f"Bearer {desk.token}", f"Basic {metrics_token(desk.token)}"):
            assert client.get("/metrics", headers={"authorization": other}).status_code == 401
