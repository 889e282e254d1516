"""The page behind an unsubscribe link. Looking at it changes nothing: mail scanners follow every link."""

from starlette.requests import Request
from starlette.responses import Response

from runtime.console.desk import desk_of
from runtime.console.pages import page
from runtime.engagement.unsubscribe import describe, unsubscribe
from runtime.errors import NotFound
from runtime.ledger.project import clock_for, load_project


def ask(request: Request) -> Response:
    """Ask whether the person wants to unsubscribe."""
    desk = desk_of(request)
    try:
        found = describe(desk.ledger, request.path_params["token"])
    except NotFound as error:
        return page(request, "unsubscribe.html", status=404, found=None, done=False, problem=str(error))
    return page(request, "unsubscribe.html", found=found, done=False, problem="")


def confirm(request: Request) -> Response:
    """Unsubscribe: from the button on the page, or with one click from a mail program (RFC 8058)."""
    desk = desk_of(request)
    with desk.ledger.connection() as conn:
        now = clock_for(load_project(conn, desk.ledger.project_id)).now()
    try:
        found = unsubscribe(desk.ledger, request.path_params["token"], now=now)
    except NotFound as error:
        return page(request, "unsubscribe.html", status=404, found=None, done=False, problem=str(error))
    return page(request, "unsubscribe.html", found=found, done=True, problem="")
