"""Publishes in a world through the very gate that publishing has, with an approval that exists only there."""

from runtime.clock import Clock
from runtime.errors import Invalid, NotAllowed
from runtime.ledger.database import Ledger
from runtime.publishing.approvals import decide, prepare_publish
from runtime.publishing.drafts import save_draft
from runtime.publishing.publish import Published, publish
from runtime.publishing.reports import record_report
from runtime.source.reader import Source
from runtime.spec.canonical import canonical
from runtime.spec.model import Workflow

_WHO = "rehearsal"


def through_the_gate(ledger: Ledger, source: Source, url: str, workflow: Workflow, clock: Clock) -> Published:
    """Publish a workflow in a scratch database; raises Invalid with every problem.

    The report and the yes that the gate asks for are written into the scratch ledger alone, which is dropped with it.
    """
    save_draft(ledger, canonical(workflow), author=_WHO)
    prepared = prepare_publish(ledger, source, workflow.workflow, requested_by=_WHO)
    if prepared.problems:
        raise Invalid(list(prepared.problems))
    record_report(ledger, prepared.digest, passed=True, report={})
    prepared = prepare_publish(ledger, source, workflow.workflow, requested_by=_WHO)
    if prepared.approval_id is None:
        raise NotAllowed(f"It can't be published in the rehearsal: {' '.join(prepared.missing)}")
    decide(ledger, prepared.approval_id, approve=True, by=_WHO, via="terminal")
    return publish(ledger, source, url, workflow.workflow, digest=prepared.digest, clock=clock)
