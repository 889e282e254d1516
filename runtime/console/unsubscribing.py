"""The page behind an unsubscribe link. Looking at it changes nothing: mail scanners follow every link."""

from starlette.requests import Request
from starlette.responses import Response

from runtime.console.desk import desk_of
from runtime.console.pages import bare_page
from runtime.engagement.unsubscribe import describe, unsubscribe
from runtime.errors import NotFound
from runtime.ledger.project import clock_for, load_project


def ask(request: Request) -> Response:
    """Ask whether the person wants to unsubscribe."""
    try:
        found = describe(desk_of(request).ledger, request.path_params["token"])
    except NotFound as error:
        return _broken(request, error)
    return bare_page(request, "unsubscribe.html", found=found, problem="")


def confirm(request: Request) -> Response:
    """Unsubscribe: from the button on the page, or with one click from a mail program (RFC 8058); idempotent.

    The body is not read: whoever sends a POST here with a right token means it.
    """
    ledger = desk_of(request).ledger
    with ledger.connection() as conn:
        now = clock_for(load_project(conn, ledger.project_id)).now()
    try:
        found = unsubscribe(ledger, request.path_params["token"], now=now)
    except NotFound as error:
        return _broken(request, error)
    return bare_page(request, "unsubscribe.html", found=found, problem="")


def _broken(request: Request, error: NotFound) -> Response:
    return bare_page(request, "unsubscribe.html", status=404, found=None, problem=str(error))
