"""The processes' own rules: one leads at a time, and a broker that is away stops nobody."""

import logging
import subprocess
import sys

import pytest
from dramatiq.brokers.rabbitmq import RabbitmqBroker

from runtime.workers.broker import Nudger
from runtime.workers.leadership import Leadership


def test_one_leads_and_the_next_one_can_when_it_is_gone(database: str) -> None:
    with Leadership(database, 1) as first:
        assert first.won
        with Leadership(database, 1) as second:
            assert not second.won
        with Leadership(database, 2) as of_another_project:
            assert of_another_project.won
        first.check()
    with Leadership(database, 1) as third:
        assert third.won


def test_nudges_to_a_broker_that_is_away_are_logged_and_nothing_fails(caplog: pytest.LogCaptureFixture) -> None:
    broker = RabbitmqBroker(url="amqp://127.0.0.1:9/", middleware=[])
    with caplog.at_level(logging.WARNING):
        Nudger(broker).nudge([1, 2, 3])
    assert "nudges.lost count=3" in caplog.text
    broker.close()


@pytest.mark.parametrize("module", ["worker", "dispatcher"])
def test_a_process_loads_no_library_of_a_broker_or_provider_that_it_was_not_given(module: str) -> None:
    heavy = {"pika", "redis", "resend", "slack_sdk", "requests", "httpx", "mcp", "anthropic", "langgraph", "starlette"}
    code = f"import sys, runtime.workers.{module}; print(sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
