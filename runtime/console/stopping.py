"""The page on which a person stops a workflow or everything, sees what waits, and lets it go on or ends it."""

from datetime import timedelta
from urllib.parse import urlencode

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from runtime.console.desk import Desk, desk_of
from runtime.console.forms import read_form
from runtime.console.pages import page
from runtime.delivery.underway import settle
from runtime.engine.resuming import resume, waiting
from runtime.publishing.pausing import pause

_PATIENCE = timedelta(seconds=5)
"""For requests that are under way; a page may not take longer."""
_SAID = {
    "pause": "It is paused: nothing leaves from now on.",
    "underway": "It is paused. Requests that were given to a provider before have no answer yet; nothing else leaves.",
    "resume": "It goes on: what waited is taken up in order.",
    "discard": "It goes on. What waited was discarded; every run and message keeps the reason.",
    "nothing": "Nothing was changed: it was so already.",
}


def stopping(request: Request) -> Response:
    """Show whether a workflow, or everything, is paused, with what waits."""
    name = request.query_params.get("workflow", "")
    found = waiting(desk_of(request).ledger, name or None)
    said = _SAID.get(request.query_params.get("done", ""), "")
    return page(request, "pause.html", workflow=name, found=found, said=said)


async def stop_or_go(request: Request) -> Response:
    """Take the form of that page: the person at the console decides."""
    form = await read_form(request)
    name, answer = form.get("workflow", ""), form.get("answer", "")
    if answer not in {"pause", "resume", "discard"}:
        raise HTTPException(400, "The form is not complete. Open the page again.")
    done = await run_in_threadpool(_carry_out, desk_of(request), name or None, answer, form.get("why", ""))
    return RedirectResponse(f"/pause?{urlencode({'workflow': name, 'done': done})}", 303)


def _carry_out(desk: Desk, workflow: str | None, answer: str, why: str) -> str:
    """Return what was done, as the page says it."""
    if answer == "pause":
        if pause(desk.ledger, workflow, by=desk.person, why=why) is not None:
            return "nothing"
        return "underway" if settle(desk.ledger, patience=_PATIENCE) else "pause"
    ended = resume(desk.ledger, workflow, by=desk.person, discard=answer == "discard", why=why)
    return "nothing" if ended is None else answer
