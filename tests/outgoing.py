"""Material for tests of delivery: sends, policies, and what the ledger says about messages afterwards."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from psycopg import Connection

from runtime.delivery.message import Prepared, Send
from runtime.delivery.policy import Policy, load_policy
from runtime.delivery.prepare import prepare
from runtime.delivery.provider import Delivery, Provider
from runtime.delivery.store import store
from runtime.delivery.suppression import NOBODY, read_suppressions
from runtime.engine.sending import tell_crowd
from runtime.ledger.database import Ledger
from runtime.ledger.project import load_project
from runtime.ledger.work import Work, lease
from runtime.spec.compiled import CompiledText

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
SENDER = "Shop <hello@shop.test>"
PUBLIC = "https://news.shop.test"
MAIL = CompiledText(
    locale="",
    channel="email",
    subject="Hello {{ recipient.name | default('you') }}",
    html="<p>Order {{ new.id }} for {{ recipient.name | default('you') }}</p>",
    text="Order {{ new.id }}",
)
CHAT = CompiledText(locale="", channel="slack", subject="", html="", text="Order {{ new.id }}")


def a_policy(**changes: Any) -> Policy:
    """Return a policy in inbox mode with every provider."""
    values: dict[str, Any] = {
        "mode": "inbox",
        "allowed": frozenset(),
        "configured": frozenset({"resend", "smtp", "slack"}),
        "sender": SENDER,
        "public_url": PUBLIC,
        "secret": b"secret",
        "project_id": 1,
        "zone": "UTC",
        "batch_sizes": {"resend": 100, "smtp": 1, "slack": 1},
    }
    return Policy(**(values | changes))


def a_send(people: Sequence[Mapping[str, Any]], **changes: Any) -> Send:
    """Return a send of one text to these people."""
    values: dict[str, Any] = {
        "run_id": 1,
        "step": 0,
        "workflow": "order-shipped",
        "channels": ("email", "slack"),
        "category": "transactional",
        "topic": "",
        "texts": (MAIL, CHAT),
        "names": {"new": {"id": 7}},
        "people": people,
    }
    return Send(**(values | changes))


def crowd(count: int) -> list[dict[str, Any]]:
    """Return people with addresses of their own."""
    return [{"key": number, "email": f"person{number}@mail.test"} for number in range(count)]


def prepared(*sends: Send, **changes: Any) -> Prepared:
    """Prepare with nobody suppressed."""
    return prepare(sends, a_policy(**changes), NOBODY, now=NOW)


def a_delivery(*providers: Provider) -> Delivery:
    """Return a delivery with these ways out."""
    return Delivery({provider.name: provider for provider in providers}, SENDER, PUBLIC)


def stored(ledger: Ledger, delivery: Delivery, *sends: Send, mode: str = "production") -> list[int]:
    """Put the project into a mode, prepare the sends as an engine would, store them, and return the work."""
    with ledger.transaction() as conn:
        conn.execute("UPDATE tidings.project SET mode = %s", (mode,))
        policy = load_policy(conn, load_project(conn, 1), delivery)
        suppressed = read_suppressions(conn, 1, sends)
        return store(conn, 1, prepare(sends, policy, suppressed, now=NOW), now=NOW)


def stored_crowd(ledger: Ledger, delivery: Delivery, send: Send, *, mode: str = "production") -> list[int]:
    """Store one send as a run with very many people is stored: in slices whose requests share their words."""
    with ledger.pipelined() as conn:
        conn.execute("UPDATE tidings.project SET mode = %s", (mode,))
        written = tell_crowd(conn, load_project(conn, 1), delivery, send, now=NOW)
        return sorted(work_id for cursor in written for (work_id,) in cursor)


def leased(ledger: Ledger, work_id: int) -> Work:
    """Take a piece of work, also from a worker that has died."""
    with ledger.transaction() as conn:
        conn.execute(
            "UPDATE tidings.work SET lease_until = clock_timestamp() - interval '1 s' WHERE id = %s", (work_id,)
        )
        work = lease(conn, 1, work_id, timedelta(seconds=60))
    assert work is not None
    return work


def statuses(app: Connection[Any]) -> list[tuple[Any, ...]]:
    """Return status and reason of every message, by the person's key."""
    return app.execute(
        "SELECT recipient_key, status, reason FROM tidings.message_status ORDER BY length(recipient_key), recipient_key"
    ).fetchall()


def owed(app: Connection[Any]) -> list[tuple[Any, ...]]:
    """Return when each piece of work is due, and how often it was tried."""
    return app.execute("SELECT due_at, attempts FROM tidings.work ORDER BY id").fetchall()
