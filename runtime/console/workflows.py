"""Workflows: a list, and for each what it says, how its messages look, and a person's answer to exactly one draft."""

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from runtime.console.decision import Answer, carry_out, read_answer
from runtime.console.desk import desk_of
from runtime.console.forms import read_form
from runtime.console.mail import mail_frame
from runtime.console.pages import page
from runtime.console.review import review_of
from runtime.errors import Conflict, Invalid, NotAllowed, Temporary
from runtime.publishing.approvals import pending_approvals
from runtime.publishing.drafts import load_draft
from runtime.publishing.preview import preview_message
from runtime.publishing.versions import list_workflows

_SAID = {
    "approve": "Approved and published. It acts on everything that happens from now on.",
    "publish": "Published. It acts on everything that happens from now on.",
    "reject": "Sent back. It can't be published as it is; change the draft, or decide again.",
    "live": "Exactly this is live already.",
    "ask": "Asked again: it is yours to decide.",
}


def workflows(request: Request) -> Response:
    """List every workflow with its state, and which wait for an answer."""
    ledger = desk_of(request).ledger
    asked = {approval.name for approval in pending_approvals(ledger)}
    return page(request, "workflows.html", workflows=list_workflows(ledger), asked=asked)


def workflow(request: Request) -> Response:
    """Show a workflow's draft for review: words, problems, test report, messages on a real row, the question."""
    return _shown(request, said=_SAID.get(request.query_params.get("done", ""), ""))


def workflow_preview(request: Request) -> Response:
    """Return one previewed mail's HTML, for the frame on the review page."""
    desk = desk_of(request)
    draft = load_draft(desk.ledger, _name(request))
    found = preview_message(desk.source, desk.ledger, draft.workflow, key=_key(request))
    number = request.path_params["number"]
    if number >= len(found.messages):
        raise HTTPException(404, "The preview has no such message any more. Open the page again.")
    return mail_frame(request, found.messages[number].html)


async def decision(request: Request) -> Response:
    """Take the form of the review page; what is refused is said above the page as it is now."""
    answer = read_answer(await read_form(request))
    return await run_in_threadpool(_decided, request, answer)


def _decided(request: Request, answer: Answer) -> Response:
    try:
        done = carry_out(desk_of(request), _name(request), answer)
    except (Conflict, NotAllowed, Invalid, Temporary) as error:
        return _shown(request, refused=str(error), status=503 if isinstance(error, Temporary) else 409)
    return RedirectResponse(f"/workflows/{_name(request)}?done={done}", 303)


def _shown(request: Request, *, said: str = "", refused: str = "", status: int = 200) -> Response:
    key = _key(request)
    review = review_of(desk_of(request), _name(request), key=key)
    return page(request, "workflow.html", status=status, review=review, key=key or "", said=said, refused=refused)


def _name(request: Request) -> str:
    name: str = request.path_params["name"]
    return name


def _key(request: Request) -> str | None:
    """Return which row the preview is asked for, if any."""
    return request.query_params.get("key", "").strip() or None
