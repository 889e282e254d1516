"""The leader's upkeep, beside its work: it counts by itself, and what goes wrong stops nobody."""

import logging
import time
from collections.abc import Callable
from typing import Any

import pytest
from psycopg import Connection

from runtime.clock import VirtualClock
from runtime.ledger.database import Ledger
from runtime.source.reader import Source
from runtime.workers.upkeep import upkeep
from tests.engine_runs import Shop
from tests.publishing import spec

pytestmark = pytest.mark.usefixtures("approved")


@pytest.fixture
def shop(app: Connection[Any], ledger: Ledger, source: Source, database: str, clock: VirtualClock) -> Shop:
    return Shop.furnished(app, ledger, source, database, clock)


def _eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_who_leads_counts_beside_it(shop: Shop) -> None:
    shop.publish(spec())
    shop.write("UPDATE shop.orders SET status = 'shipped'")
    sent = "SELECT number FROM tidings.tally WHERE fact = 'sent' AND hour = 'infinity'"
    with upkeep(shop.engine):
        _eventually(lambda: shop.rows(sent) == [{"number": 3}])
        _eventually(lambda: shop.rows("SELECT number FROM tidings.census") == [{"number": 3}])


def test_a_ledger_that_can_not_be_kept_up_is_logged_and_tried_again(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    shop.app.execute("ALTER TABLE tidings.tally RENAME TO mislaid")
    shop.publish(spec())
    shop.write("UPDATE shop.orders SET status = 'shipped'")
    with caplog.at_level(logging.WARNING), upkeep(shop.engine):
        _eventually(lambda: "upkeep.interrupted" in caplog.text)
