"""The gate before a publish: for one digest no problem, a passing test, and the recorded yes of a person."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection
from psycopg.rows import class_row

from runtime.ledger.project import check_binding, load_project
from runtime.ledger.queries import load_queries
from runtime.publishing.reports import find_report
from runtime.publishing.verdict import Verdict

_QUERIES = load_queries("runtime.publishing")


@dataclass(frozen=True)
class Approval:
    """A question put to a person about one digest, with its answer."""

    id: int
    workflow_id: int
    name: str
    """The workflow's."""
    digest: str
    summary: str
    """The sentence that the person is asked about."""
    requested_by: str
    requested_at: datetime
    status: str
    """asked, approved, rejected, redeemed (published), or withdrawn (the draft moved on before anybody answered)."""
    decided_by: str | None
    decided_via: str | None
    """console or terminal: there is no other way."""
    decided_at: datetime | None
    note: str


def why_held(conn: Connection[Any], project_id: int) -> str:
    """Return why nothing may be published at all, empty if it may: the project is held, or this is a copy of it."""
    project = load_project(conn, project_id)
    reason = project.held_reason or check_binding(conn, project, project.environment)
    return f"The project is held: {reason} A person lets it go on: `tidings release`." if reason else ""


def unmet(conn: Connection[Any], project_id: int, name: str, verdict: Verdict) -> list[str]:
    """Return what stands in the way of asking a person about this verdict, each with its next step."""
    held = why_held(conn, project_id)
    return [part for part in (held, _problems(name, verdict) or _untested(conn, project_id, name, verdict)) if part]


def answer(conn: Connection[Any], project_id: int, workflow_id: int, digest: str) -> Approval | None:
    """Return the last question about a digest: the one whose answer counts."""
    found = approvals(conn, project_id, workflow_id=workflow_id, digest=digest)
    return found[-1] if found else None


def approvals(
    conn: Connection[Any],
    project_id: int,
    *,
    approval_id: int | None = None,
    workflow_id: int | None = None,
    digest: str | None = None,
    status: str | None = None,
) -> list[Approval]:
    """Return the questions that fit, oldest first."""
    wanted = {"approval_id": approval_id, "workflow_id": workflow_id, "digest": digest, "status": status}
    with conn.cursor(row_factory=class_row(Approval)) as cursor:
        return cursor.execute(_QUERIES["approvals"], {"project_id": project_id, **wanted}).fetchall()


def unapproved(name: str, approval: Approval | None) -> str:
    """Say why the last answer does not allow a publish; empty if it does."""
    if approval is not None and approval.status == "approved":
        return ""
    if approval is not None and approval.status == "rejected":
        note = f": {approval.note}" if approval.note else ""
        return (
            f"{approval.decided_by} rejected exactly this at {approval.decided_at:%Y-%m-%d %H:%M} UTC{note}. "
            "Change the draft, or ask again if the person wants to be asked."
        )
    return (
        "A person has to approve it, in the console or at a terminal: "
        f"`tidings approve {name}`. Nobody else can, and nothing else counts."
    )


def _problems(name: str, verdict: Verdict) -> str:
    if not verdict.problems:
        return ""
    return (
        f"It has {len(verdict.problems)} problem(s). "
        f"`tidings validate {name}` (validate_workflow) lists them; save the corrected draft."
    )


def _untested(conn: Connection[Any], project_id: int, name: str, verdict: Verdict) -> str:
    report = find_report(conn, project_id, verdict.digest)
    if report is None:
        return f"No test of exactly this has passed. Run `tidings test {name}` (test_workflow)."
    if not report.passed:
        return (
            f"Its last test, at {report.at:%Y-%m-%d %H:%M} UTC, failed. Look at the report, correct the draft, and "
            f"run `tidings test {name}` (test_workflow) again."
        )
    return ""
