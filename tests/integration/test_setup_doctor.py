from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from runtime.postgres.server import PostgresServer
from runtime.settings import Settings, load_settings
from runtime.setup.doctor import examine
from runtime.setup.finding import Finding, Level
from runtime.setup.prepare import apply, prepare
from runtime.setup.status import read_status
from tests.fresh_database import fresh_database


@pytest.fixture
def url(server: PostgresServer) -> Iterator[str]:
    with fresh_database(server, "doctor") as url:
        with psycopg.connect(url, autocommit=True) as conn:
            conn.execute("ALTER TABLE shop.staff ENABLE ROW LEVEL SECURITY")
        yield url


@pytest.fixture
def settings(url: str, tmp_path: Path) -> Settings:
    apply(prepare(tmp_path, url))
    return load_settings(tmp_path, {})


def _codes(findings: list[Finding], *levels: Level) -> list[str]:
    return [finding.code for finding in findings if finding.level in levels]


def test_a_sound_project_has_no_problem_and_every_finding_that_is_not_ok_has_a_next_step(settings: Settings) -> None:
    findings = examine(settings)
    assert _codes(findings, Level.PROBLEM, Level.WARNING) == []
    assert {"server", "binding", "grants"} <= set(_codes(findings, Level.OK))
    assert all(finding.next_step for finding in findings if finding.level is not Level.OK)


def test_the_printed_sql_mends_what_is_missing(settings: Settings, url: str) -> None:
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute("REVOKE ALL ON shop.orders FROM tidings_doctor_reader, tidings_doctor_installer")
        conn.execute("DROP POLICY tidings_reader ON shop.staff")
        findings = examine(settings)
        assert _codes(findings, Level.PROBLEM) == ["grants", "row-security"]
        for finding in findings:
            for statement in finding.sql:
                conn.execute(statement)
    assert _codes(examine(settings), Level.PROBLEM) == []


def test_what_changed_in_the_schema_since_is_noticed(settings: Settings, url: str) -> None:
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(
            "ALTER TABLE shop.customers ADD api_key text; DROP TABLE shop.reviews; CREATE TABLE shop.carts (id int)"
        )
        conn.execute("CREATE POLICY narrow ON shop.staff AS RESTRICTIVE USING (role = 'support')")
        conn.execute("GRANT INSERT ON shop.orders TO PUBLIC")
    said = {finding.code: finding.message for finding in examine(settings)}
    assert said["secret-readable"].endswith(
        "shop.customers can be read as a whole, and these columns look secret: api_key."
    )
    assert said["gone"] == "Approved, but no longer there: shop.reviews."
    assert said["new-tables"] == "Tables that nobody decided about yet: shop.carts."
    assert said["row-security"].startswith("A restrictive policy on shop.staff")
    assert "shop.orders" in said["reader-writes"]


def test_another_environment_is_held_and_a_lacking_migration_stops_there(settings: Settings, url: str) -> None:
    assert _codes(examine(replace(settings, environment="production")), Level.PROBLEM) == ["held"]
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute("DELETE FROM tidings.migration WHERE number = 2")
    assert _codes(examine(settings), Level.PROBLEM) == ["migrations"]


def test_a_login_that_fails_is_one_finding_and_a_server_that_is_away_is_one_too(settings: Settings) -> None:
    wrong = replace(settings, ledger_url=settings.ledger_url.replace("_ledger:", "_ledger:x"))
    [finding] = [finding for finding in examine(wrong) if finding.level is Level.PROBLEM]
    assert finding.message.startswith("The ledger can't log in. No connection to tidings_doctor_ledger@")
    nowhere = "postgresql://x:y@127.0.0.1:1/z"
    away = replace(settings, installer_url=nowhere, ledger_url=nowhere, reader_url=nowhere)
    assert _codes(examine(away), Level.PROBLEM) == ["no-connection"]


def test_an_embedded_server_that_sleeps_is_said_to(settings: Settings) -> None:
    [finding] = [f for f in examine(replace(settings, embedded=True)) if f.level is Level.PROBLEM]
    assert (finding.message, finding.next_step) == (
        "The Postgres server that Tidings brought is not running.",
        "Run `tidings up`.",
    )


def test_a_provider_that_is_configured_is_named(settings: Settings) -> None:
    said = [finding.message for finding in examine(replace(settings, resend_api_key="re_1", slack_token="xoxb"))]
    assert "Can deliver through Resend, Slack." in said


def test_status_counts_what_the_ledger_holds(settings: Settings, url: str) -> None:
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute("INSERT INTO tidings.outbox (hook_id, generation, op, captured_at) VALUES (1, 1, 'i', now())")
        conn.execute(
            "INSERT INTO tidings.workflow (project_id, name, live_version_id) VALUES (1, 'a', 1), (1, 'b', NULL)"
        )
        conn.execute(
            "INSERT INTO tidings.message (project_id, run_id, step, recipient_key, channel, outcome, created_at)"
            " VALUES (1, 1, 0, 'a', 'email', 'suppressed', now())"
        )
    with psycopg.connect(settings.ledger_url) as ledger:
        found = read_status(ledger, 1)
    assert (found.name, found.live, found.outbox, found.messages) == ("doctor", 1, 1, {"suppressed": 1})
