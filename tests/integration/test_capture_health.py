"""Health is green while everything is captured, and says in a sentence each where it is not."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from psycopg import Connection

from runtime.capture.health import CaptureHealth, capture_health
from runtime.capture.install import install_hook
from tests.hooks import hook, table_of

STAFF = "INSERT INTO shop.staff SELECT i, i || '@x.test', 'support' FROM generate_series(1, 3) AS i"
GREEN = CaptureHealth(red=False, reasons=(), missed=0, keys_only=0, skipped=0, waiting=0, oldest=None, limit=5_000_000)


def test_a_project_without_hooks_is_green(app: Connection[Any]) -> None:
    assert capture_health(app, 1) == GREEN


def test_what_waits_is_counted_and_has_an_age(app: Connection[Any]) -> None:
    hook(app, "shop.staff")
    assert capture_health(app, 1) == GREEN
    app.execute(STAFF)
    health = capture_health(app, 1)
    assert (health.red, health.waiting, health.bytes > 0) == (False, 3, True)
    app.execute("UPDATE tidings.outbox SET captured_at = captured_at - interval '1 hour' WHERE id = 1")
    health = capture_health(app, 1)
    assert health.oldest is not None
    assert timedelta(hours=1) <= health.oldest < timedelta(hours=1, minutes=1)
    [reason] = health.reasons
    assert reason.startswith("The oldest of 3 captured changes has been waiting for 1:00:0")
    app.execute("UPDATE tidings.project SET held_reason = 'a copy'")
    assert not capture_health(app, 1).red
    assert capture_health(app, 2) == replace(GREEN, limit=None)


def test_what_was_skipped_on_purpose_is_told_but_not_red(app: Connection[Any]) -> None:
    hook(app, "shop.staff")
    app.execute(f"SET tidings.skip = on; {STAFF}")
    health = capture_health(app, 1)
    assert (health.red, health.skipped, health.waiting) == (False, 3, 0)


@pytest.mark.parametrize("way", ["DISABLE TRIGGER tidings_capture_1_u", "ENABLE REPLICA TRIGGER tidings_capture_1_u"])
def test_a_disabled_trigger_is_red(app: Connection[Any], way: str) -> None:
    hook(app, "shop.staff")
    app.execute(f"ALTER TABLE shop.staff {way}")
    assert capture_health(app, 1).reasons == ("The trigger for update on shop.staff is disabled: nothing is captured.",)
    app.execute("ALTER TABLE shop.staff ENABLE ALWAYS TRIGGER tidings_capture_1_u")
    assert capture_health(app, 1) == GREEN


def test_a_dropped_trigger_is_red_unless_nobody_needs_it(app: Connection[Any]) -> None:
    hook(app, "shop.staff", ops=("update",))
    app.execute("DROP TRIGGER tidings_capture_1_u ON shop.staff")
    [reason] = capture_health(app, 1).reasons
    assert reason.startswith("shop.staff has no trigger for update: ")
    install_hook(app, 1, table_of(app, "shop.staff"), [])
    assert capture_health(app, 1) == GREEN


def test_a_table_that_is_gone_or_renamed_is_red(app: Connection[Any]) -> None:
    hook(app, "shop.staff")
    app.execute("ALTER TABLE shop.staff RENAME TO people")
    assert capture_health(app, 1).reasons == ("shop.staff has a hook and is no longer there under that name.",)


def test_a_key_that_was_handled_counts_no_longer(app: Connection[Any]) -> None:
    hook(app, "shop.staff", "email")
    app.execute("ALTER TABLE shop.staff RENAME email TO mail")
    app.execute(STAFF)
    health = capture_health(app, 1)
    assert health.keys_only == 3
    assert health.reasons[0].startswith("3 changed row(s) of shop.staff are known by key only. Last: 42703: ")
    app.execute("UPDATE tidings.outbox_key SET handled_at = now()")
    app.execute("ALTER TABLE shop.staff RENAME mail TO email")
    assert capture_health(app, 1) == GREEN
