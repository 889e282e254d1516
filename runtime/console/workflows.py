"""Workflows: what each says in words, how its messages look, and a person's yes or no to exactly one draft."""

import getpass
from dataclasses import dataclass
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from runtime.console.desk import Desk, desk_of
from runtime.console.inbox import mail_response
from runtime.console.pages import page
from runtime.errors import Conflict, NotAllowed, NotFound, TidingsError
from runtime.publishing.approvals import Prepared, decide, prepare_publish
from runtime.publishing.drafts import Draft, load_draft
from runtime.publishing.preview import Preview, preview_message
from runtime.publishing.publish import publish
from runtime.publishing.reports import StoredReport, load_report
from runtime.publishing.verdict import Verdict, judge
from runtime.publishing.versions import list_workflows


@dataclass(frozen=True)
class Review:
    """All that a person needs to decide about a draft."""

    draft: Draft
    verdict: Verdict
    prepared: Prepared
    report: StoredReport | None
    preview: Preview | None
    preview_failed: str


def workflows(request: Request) -> Response:
    """List every workflow with its state."""
    return page(request, "workflows.html", workflows=list_workflows(desk_of(request).ledger))


def workflow(request: Request) -> Response:
    """Show a workflow's draft for review: words, problems, test report, messages on real rows, the question."""
    review = _review(desk_of(request), _name(request))
    return page(request, "workflow.html", review=review, said=request.query_params.get("said", ""))


def workflow_preview(request: Request) -> Response:
    """Return one previewed mail's HTML, for the frame on the review page."""
    desk = desk_of(request)
    preview = preview_message(desk.source, desk.ledger, load_draft(desk.ledger, _name(request)).workflow)
    number = int(request.path_params["number"])
    if number >= len(preview.messages):
        raise HTTPException(404, "The preview has no such message.")
    return mail_response(preview.messages[number].html, request.query_params.get("scheme", "light"))


def answer(form: dict[str, str], desk: Desk, name: str) -> str:
    """Carry out a person's answer and return what to tell them; the digest in the form is the one that was shown."""
    approve = form.get("answer") == "approve"
    try:
        decide(
            desk.ledger,
            int(form["approval"]),
            approve=approve,
            by=getpass.getuser(),
            via="console",
            note=form.get("note", "").strip(),
        )
        if not approve:
            return "Sent back. The draft stays as it is until somebody changes it."
        published = publish(desk.ledger, desk.source, desk.installer_url, name, digest=form["digest"])
    except (Conflict, NotAllowed) as error:
        return f"Nothing was published: {error}"
    return f"Published as version {published.number}."


async def decision(request: Request) -> Response:
    """Take the form of the review page."""
    form = {key: str(value) for key, value in (await request.form()).items()}
    said = await run_in_threadpool(answer, form, desk_of(request), _name(request))
    return RedirectResponse(request.url_for("workflow", name=_name(request)).include_query_params(said=said).path, 303)


def _review(desk: Desk, name: str) -> Review:
    try:
        draft = load_draft(desk.ledger, name)
    except NotFound as error:
        raise HTTPException(404, str(error)) from error
    verdict = judge(desk.source, desk.ledger, draft.workflow)
    prepared = prepare_publish(desk.ledger, desk.source, name, requested_by="console")
    preview, failed = _preview(desk, draft) if not verdict.problems else (None, "")
    return Review(draft, verdict, prepared, load_report(desk.ledger, verdict.digest), preview, failed)


def _preview(desk: Desk, draft: Draft) -> tuple[Preview | None, str]:
    try:
        return preview_message(desk.source, desk.ledger, draft.workflow), ""
    except TidingsError as error:
        return None, str(error)


def _name(request: Request) -> Any:
    return request.path_params["name"]
