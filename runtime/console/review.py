"""All that a person needs to decide about a draft, and what became of it."""

import difflib
from collections.abc import Iterator
from dataclasses import dataclass

from runtime.console.desk import Desk
from runtime.console.scenarios import TestReport, read_report
from runtime.errors import TidingsError
from runtime.publishing.approvals import Prepared, load_approval, prepare_publish
from runtime.publishing.gate import Approval
from runtime.publishing.preview import Preview, preview_message
from runtime.publishing.reach import Contact, list_contacts
from runtime.publishing.reports import load_report
from runtime.publishing.versions import StoredWorkflow, load_workflow
from runtime.spec.model import SendStep


@dataclass(frozen=True)
class Change:
    """A line in which the draft's text differs from the live version's, or one beside it."""

    kind: str
    """added, removed, place or same."""
    text: str


@dataclass(frozen=True)
class Review:
    """A draft as it is now, beside what is live."""

    stored: StoredWorkflow
    prepared: Prepared
    approval: Approval | None
    """The question about exactly this, with its answer."""
    report: TestReport | None
    preview: Preview | None
    preview_failed: str
    """Why there is no preview."""
    contacts: tuple[Contact, ...]
    """Those that the draft names."""
    changes: tuple[Change, ...]

    @property
    def sends(self) -> tuple[SendStep, ...]:
        """Return the steps that reach somebody."""
        return tuple(step for step in self.stored.draft.workflow.steps if isinstance(step, SendStep))

    @property
    def stage(self) -> str:
        """Return what a person can do: decide, publish, reconsider, or nothing (live, unready)."""
        if self.prepared.live:
            return "live"
        if self.prepared.open:
            return "decide"
        if not self.prepared.missing:
            return "publish"
        return "reconsider" if self.approval is not None and self.approval.status == "rejected" else "unready"


def review_of(desk: Desk, name: str, *, key: str | None = None) -> Review:
    """Judge a draft and gather what there is about it; asks the question if only the answer is missing.

    The preview is of the row with that key, or of one that matches.
    """
    stored = load_workflow(desk.ledger, name)
    prepared = prepare_publish(desk.ledger, desk.source, name, requested_by=desk.person)
    preview, failed = _preview(desk, stored, key) if not prepared.problems else (None, "")
    asked = prepared.approval_id
    return Review(
        stored=stored,
        prepared=prepared,
        approval=None if asked is None else load_approval(desk.ledger, asked),
        report=read_report(load_report(desk.ledger, prepared.digest)),
        preview=preview,
        preview_failed=failed,
        contacts=tuple(one for one in list_contacts(desk.ledger) if name in one.used_by),
        changes=tuple(_changes(stored)),
    )


def _preview(desk: Desk, stored: StoredWorkflow, key: str | None) -> tuple[Preview | None, str]:
    try:
        return preview_message(desk.source, desk.ledger, stored.draft.workflow, key=key), ""
    except TidingsError as error:
        return None, str(error)


def _changes(stored: StoredWorkflow) -> Iterator[Change]:
    """Yield how the draft's text differs from what is live."""
    if stored.live is None:
        return
    before, after = stored.live.source.splitlines(), stored.draft.source.splitlines()
    kinds = {"+": "added", "-": "removed", "@": "place"}
    for line in list(difflib.unified_diff(before, after, lineterm="", n=2))[2:]:
        yield Change(kinds.get(line[0], "same"), line)
