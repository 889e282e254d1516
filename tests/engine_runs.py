"""The engine in tests: on a virtual clock, on the shop, into the inbox."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg import Connection
from psycopg.rows import dict_row

from runtime.clock import VirtualClock
from runtime.delivery.provider import Delivery
from runtime.engine.drain import drain
from runtime.engine.due import next_due
from runtime.engine.engine import Engine
from runtime.ledger.database import Ledger
from runtime.publishing.publish import Published
from runtime.source.reader import Source
from tests.publishing import publish_now

DELIVERY = Delivery(providers={}, sender="Tidings <tidings@shop.test>", public_url="https://tidings.test")


def engine_on(ledger: Ledger, source: Source, clock: VirtualClock, **more: Any) -> Engine:
    """Build an engine that delivers into the inbox."""
    return Engine(ledger=ledger, source=source, delivery=DELIVERY, clock=clock, **more)


@dataclass(frozen=True)
class Shop:
    """The shop with a ledger and an engine: what happens there, and what came of it."""

    app: Connection[Any]
    engine: Engine
    clock: VirtualClock
    url: str

    @classmethod
    def furnished(cls, app: Connection[Any], ledger: Ledger, source: Source, url: str, clock: VirtualClock) -> "Shop":
        """Build a shop with three customers, an order each that is paid, and staff."""
        app.execute(
            "INSERT INTO shop.customers (id, email) SELECT n, n || '@x.test' FROM generate_series(1, 3) n;"
            "INSERT INTO shop.orders (id, customer_id, status, total_cents, placed_at)"
            " SELECT n, n, 'paid', n * 100, '2026-05-01' FROM generate_series(1, 3) n;"
            "INSERT INTO shop.staff VALUES (1, 'wh@x.test', 'warehouse'), (2, 'fin@x.test', 'finance');"
            "INSERT INTO shop.products VALUES (1, 'MUG', 'Mug', 50, 10, 100)"
        )
        return cls(app, engine_on(ledger, source, clock), clock, url)

    def publish(self, spec: Mapping[str, Any]) -> Published:
        """Make a workflow live."""
        return publish_now(self.engine.ledger, self.engine.source, self.url, spec, clock=self.clock)

    def write(self, sql: str) -> None:
        """Do what the application does, and let everything happen that is due."""
        self.app.execute(sql.encode())
        drain(self.engine)

    def pass_time(self, **duration: float) -> None:
        """Let time pass, and everything happen when it is due."""
        end = self.clock.now() + timedelta(**duration)
        while (due := next_due(self.engine)) is not None and due <= end:
            self.clock.advance_to(due)
            drain(self.engine)
        self.clock.advance_to(end)
        drain(self.engine)

    def rows(self, sql: str, **values: Any) -> list[dict[str, Any]]:
        """Ask the ledger."""
        with self.app.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(sql.encode(), values or None).fetchall()

    def inbox(self) -> list[tuple[str, str]]:
        """Return recipient and subject of every message, in the order in which they arrived."""
        rows = self.rows("SELECT recipient, subject FROM tidings.inbox ORDER BY delivered_at, message_id")
        return [(row["recipient"], row["subject"]) for row in rows]

    def arrivals(self) -> list[datetime]:
        """Return when each message arrived."""
        return [row["delivered_at"] for row in self.rows("SELECT delivered_at FROM tidings.inbox ORDER BY 1")]

    def runs(self) -> list[tuple[str, str | None]]:
        """Return state and reason of every run."""
        return [(row["state"], row["reason"]) for row in self.rows("SELECT state, reason FROM tidings.run ORDER BY id")]

    def results(self) -> list[tuple[str, str, str]]:
        """Return name, status and reason of every step's result."""
        rows = self.rows("SELECT name, status, reason FROM tidings.step_result ORDER BY run_id, step")
        return [(row["name"], row["status"], row["reason"]) for row in rows]

    def dead(self) -> list[dict[str, Any]]:
        """Return every dead letter."""
        return self.rows("SELECT * FROM tidings.dead_letter ORDER BY id")
