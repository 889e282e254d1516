"""Publishing in tests: a spec through every gate, with a person's yes, in one call."""

from collections.abc import Mapping
from typing import Any

from runtime.clock import Clock
from runtime.ledger.database import Ledger
from runtime.publishing.approvals import decide, prepare_publish
from runtime.publishing.drafts import save_draft
from runtime.publishing.publish import Published, publish
from runtime.publishing.reports import record_report
from runtime.publishing.verdict import judge
from runtime.source.reader import Source

SEND: dict[str, Any] = {
    "send": "tell",
    "to": "SELECT c.id AS key, c.email FROM shop.customers c WHERE c.id = new.customer_id",
    "channels": ["email"],
    "texts": [{"subject": "Order {{ new.id }}", "body": "Hello, order {{ new.id }} is {{ new.status }}."}],
}


def spec(name: str = "shipped", **parts: Any) -> dict[str, Any]:
    """Build a spec; what is not said is an e-mail to the customer of an order that becomes shipped."""
    trigger = {"change": "shop.orders", "becomes": "status = 'shipped'"}
    whole = {"workflow": name, "about": "Tells the customer.", "trigger": trigger, "steps": [SEND]}
    return {**whole, **{key.rstrip("_"): value for key, value in parts.items()}}


def save_and_test(ledger: Ledger, source: Source, data: str | Mapping[str, Any]) -> str:
    """Save a draft, record a passing test of it, and return its digest."""
    verdict = judge(source, ledger, save_draft(ledger, data, author="ana").workflow)
    assert verdict.problems == ()
    record_report(ledger, verdict.digest, passed=True, report={"scenarios": []})
    return verdict.digest


def approve(ledger: Ledger, source: Source, name: str) -> str:
    """Ask and say yes; return the digest."""
    prepared = prepare_publish(ledger, source, name, requested_by="ana")
    assert prepared.approval_id is not None, prepared.missing
    decide(ledger, prepared.approval_id, approve=True, by="bea", via="terminal")
    return prepared.digest


def publish_now(
    ledger: Ledger, source: Source, installer_url: str, data: str | Mapping[str, Any], *, clock: Clock | None = None
) -> Published:
    """Save, test, approve and publish a spec, given as YAML or as data."""
    digest = save_and_test(ledger, source, data)
    name = save_draft(ledger, data, author="ana").name
    approve(ledger, source, name)
    return publish(ledger, source, installer_url, name, digest=digest, clock=clock)
