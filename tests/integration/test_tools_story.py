"""A sentence becomes a published workflow, told by the tools that a chat client's own model would call."""

from pathlib import Path
from typing import Any

import pytest
from psycopg import Connection

from runtime.clock import VirtualClock
from runtime.ledger.database import Ledger
from runtime.publishing.approvals import decide, pending_approvals
from runtime.source.reader import Source
from tests.engine_runs import Shop
from tests.tool_clients import WAYS, Answered, Tools, connected, missing_from_text, write_home

pytestmark = pytest.mark.usefixtures("approved")
SPEC = """\
workflow: order-cancelled
about: E-mails the customer at once when their order is cancelled.
trigger: {change: shop.orders, becomes: status = 'canceled'}
steps:
  - send: tell
    to: SELECT c.id AS key, c.mail AS email FROM shop.customers c WHERE c.id = new.customer_id
    channels: [email]
    texts:
      - subject: Your order {{ new.id }}
        preheader: It is cancelled.
        body: "Order {{ new.id }} over {{ new.total_cents | money(new.currency) }} is cancelled."
"""


@pytest.fixture
def shop(app: Connection[Any], ledger: Ledger, source: Source, database: str, clock: VirtualClock) -> Shop:
    return Shop.furnished(app, ledger, source, database, clock)


@pytest.mark.parametrize("way", WAYS)
def test_from_the_schema_to_a_message_over_every_way(way: str, tmp_path: Path, shop: Shop) -> None:
    with connected(way, write_home(tmp_path, shop.url)) as tools:
        digest = _drafted(tools)
        _asked(tools, shop.engine.ledger, digest)
        assert tools.call("confirm_publish", workflow="order-cancelled", digest=digest).data["status"] == "published"
        shop.write("UPDATE shop.orders SET status = 'cancelled' WHERE id = 2")
        runs = _told(tools.call("list_runs", workflow="order-cancelled"))
    assert shop.inbox() == [("2@x.test", "Your order 2")]
    assert [run["state"] for run in runs.data["runs"]] == ["completed"]


def _drafted(tools: Tools) -> str:
    """Draft, repair, look and rehearse; return the digest of what passed."""
    assert any("shop.orders" in line for line in _told(tools.call("describe_schema")).data["tables"])
    _told(tools.call("describe_schema", tables=["shop.orders", "shop.customers"]))
    bad = _told(tools.call("save_workflow", spec=SPEC))
    fixes = [problem["fix"] for problem in bad.data["problems"] if problem["severity"] == "problem"]
    assert ["Did you mean 'cancelled'?" in fixes[0], fixes[1]] == [True, "Did you mean 'email'?"]
    spec = SPEC.replace("'canceled'", "'cancelled'").replace("c.mail AS email", "c.email")
    _told(tools.call("save_workflow", spec=spec, expected_revision=bad.data["revision"]))
    valid = _told(tools.call("validate_workflow", workflow="order-cancelled"))
    assert (valid.data["valid"], valid.data.get("problems", [])) == (True, [])
    preview = _told(tools.call("preview_message", workflow="order-cancelled", key="1"))
    assert preview.data["data"]["data"]["messages"][0]["text"].startswith("Order 1 over $1.00 is cancelled.")
    tested = _told(tools.call("test_workflow", workflow="order-cancelled"))
    assert tested.data["passed"], tested.text
    assert tested.data["digest"] == valid.data["digest"]
    return str(valid.data["digest"])


def _asked(tools: Tools, ledger: Ledger, digest: str) -> None:
    """Ask for the approval, fail to go live without it, and have a person give it."""
    prepared = _told(tools.call("prepare_publish", workflow="order-cancelled"))
    assert (prepared.data["status"], prepared.data["digest"]) == ("needs_approval", digest)
    early = _told(tools.call("confirm_publish", workflow="order-cancelled", digest=digest))
    assert (early.data["status"], early.data["approve_command"]) == (
        "needs_approval",
        "tidings approve order-cancelled",
    )
    [question] = pending_approvals(ledger)
    decide(ledger, question.id, approve=True, by="ana", via="terminal")


def _told(answer: Answered) -> Answered:
    assert missing_from_text(answer) == []
    return answer
