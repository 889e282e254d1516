"""Approvals: asking a person about one digest, and keeping the answer. A model can ask; it can't answer."""

from dataclasses import dataclass
from typing import Any, Literal

from psycopg import Connection

from runtime.errors import Conflict, NotAllowed, NotFound, Problem
from runtime.ledger.database import Ledger
from runtime.ledger.queries import load_queries
from runtime.publishing.drafts import Draft, load_draft
from runtime.publishing.gate import Approval, answer, approvals, unapproved, unmet
from runtime.publishing.verdict import Verdict, judge
from runtime.publishing.versions import live_version
from runtime.source.reader import Source

_QUERIES = load_queries("runtime.publishing")
_WAYS = ("console", "terminal")


@dataclass(frozen=True)
class Prepared:
    """Where a draft stands on its way to being published."""

    name: str
    digest: str
    """Names exactly what would be published; empty when the draft has problems."""
    words: str
    about: str
    missing: tuple[str, ...]
    """What still stands in the way, each with its next step; empty: `publish` will go through."""
    approval_id: int | None
    """The question that a person has answered, or has to."""
    warnings: tuple[Problem, ...]
    problems: tuple[Problem, ...] = ()
    open: bool = False
    """The question waits for an answer, and nothing else is missing."""
    live: bool = False
    """Exactly this is live already."""


def prepare_publish(
    ledger: Ledger, source: Source, name: str, *, requested_by: str, ask_again: bool = False
) -> Prepared:
    """Judge a draft, say what is missing, and put the question to a person once only the approval is.

    Idempotent: one digest has one open question, and an answer stays. What was rejected stays rejected; `ask_again`
    puts the question anew. A question about an earlier state of the draft is withdrawn.
    """
    draft = load_draft(ledger, name)
    verdict = judge(source, ledger, draft.workflow)
    with ledger.transaction() as conn:
        conn.execute(_QUERIES["lock_workflow"], {"project_id": ledger.project_id, "name": name})
        live = live_version(conn, ledger.project_id, name)
        if live is not None and live.digest == verdict.digest:
            return _prepared(draft, verdict, [], None, live=True)
        missing = unmet(conn, ledger.project_id, name, verdict)
        approval = None
        if not missing:
            approval = _asked(conn, ledger.project_id, draft, verdict, requested_by, ask_again=ask_again)
            missing = [part for part in (unapproved(name, approval),) if part]
    return _prepared(draft, verdict, missing, approval)


def decide(
    ledger: Ledger,
    approval_id: int,
    *,
    approve: bool,
    by: str,
    via: Literal["console", "terminal"],
    note: str = "",
) -> None:
    """Record a person's answer. Only the console and an interactive terminal may call this, for the person there.

    Raises Conflict when the question is answered or withdrawn already.
    """
    if via not in _WAYS:
        raise NotAllowed(f"An approval can't be given via {via!r}: only in the console or at an interactive terminal.")
    if not by.strip():
        raise NotAllowed("An approval needs the name of the person who gives it.")
    values = {"status": "approved" if approve else "rejected", "by": by, "via": via, "note": note}
    key = {"project_id": ledger.project_id, "approval_id": approval_id}
    with ledger.transaction() as conn:
        if conn.execute(_QUERIES["decide"], {**key, **values}).fetchone() is None:
            raise _closed(_load(conn, ledger.project_id, approval_id))


def load_approval(ledger: Ledger, approval_id: int) -> Approval:
    """Return a question with its answer, or raise NotFound."""
    with ledger.transaction() as conn:
        return _load(conn, ledger.project_id, approval_id)


def pending_approvals(ledger: Ledger) -> tuple[Approval, ...]:
    """Return the questions that nobody has answered, oldest first; at most one a workflow."""
    with ledger.transaction() as conn:
        return tuple(approvals(conn, ledger.project_id, status="asked"))


def summary(draft: Draft, verdict: Verdict) -> str:
    """Return what a person says yes to: the author's sentence, and ours beside it."""
    return f"{draft.workflow.about.strip()}\n\n{verdict.words}"


def _asked(
    conn: Connection[Any], project_id: int, draft: Draft, verdict: Verdict, requested_by: str, *, ask_again: bool
) -> Approval | None:
    """Return the question about this digest; puts it if nobody did, or if its answer is used up."""
    key = {"project_id": project_id, "workflow_id": draft.workflow_id, "digest": verdict.digest}
    conn.execute(_QUERIES["withdraw_questions"], key)
    present = answer(conn, project_id, draft.workflow_id, verdict.digest)
    stands = {"asked", "approved"} if ask_again else {"asked", "approved", "rejected"}
    if present is not None and present.status in stands:
        return present
    values = {"summary": summary(draft, verdict), "requested_by": requested_by}
    conn.execute(_QUERIES["ask"], key | values)
    return answer(conn, project_id, draft.workflow_id, verdict.digest)


def _prepared(
    draft: Draft, verdict: Verdict, missing: list[str], approval: Approval | None, *, live: bool = False
) -> Prepared:
    return Prepared(
        name=draft.name,
        digest=verdict.digest,
        words=verdict.words,
        about=draft.workflow.about,
        missing=tuple(missing),
        approval_id=approval.id if approval else None,
        warnings=verdict.warnings,
        problems=verdict.problems,
        open=approval is not None and approval.status == "asked",
        live=live,
    )


def _load(conn: Connection[Any], project_id: int, approval_id: int) -> Approval:
    found = approvals(conn, project_id, approval_id=approval_id)
    if not found:
        raise NotFound(f"There is no approval {approval_id}. `tidings workflows` lists the drafts.")
    return found[0]


def _closed(approval: Approval) -> Conflict:
    if approval.status == "withdrawn":
        return Conflict(f"The draft {approval.name!r} changed after this was asked. Look at it again: it asks anew.")
    return Conflict(
        f"{approval.decided_by} answered this in the {approval.decided_via} at "
        f"{approval.decided_at:%Y-%m-%d %H:%M} UTC ({approval.status}). An answer stays; prepare the publish again."
    )
