"""What went wrong, as a page that says what to do next; a stack trace is for the log."""

import logging

from psycopg import Error, InterfaceError, OperationalError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from runtime.console.pages import bare_page
from runtime.errors import Conflict, Invalid, NotAllowed, NotFound, Temporary, TidingsError

_STATUS: dict[type[TidingsError], tuple[int, str]] = {
    NotFound: (404, "There is no such thing"),
    Conflict: (409, "Something changed meanwhile"),
    NotAllowed: (403, "That is not allowed"),
    Invalid: (422, "That can't be accepted"),
    Temporary: (503, "Not now"),
}
_TITLES = {
    400: "That can't be understood",
    404: "There is no such page",
    405: "This page is only for looking",
    413: "That is too much",
}
_log = logging.getLogger(__name__)


def refused(request: Request, error: Exception) -> Response:
    """Say what Tidings refused, and the next step, which its errors name."""
    kinds = (_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS)
    status, title = next(kinds, (500, "That did not work"))
    return bare_page(request, "error.html", status=status, title=title, message=str(error))


def not_there(request: Request, error: Exception) -> Response:
    """Say that there is no such page, or why a request for one is wrong."""
    status, message = (error.status_code, error.detail) if isinstance(error, HTTPException) else (500, "")
    title = _TITLES.get(status, "That did not work")
    said = {404: "The address is not known here.", 405: "Go back and use its buttons."}
    is_plain = status in said and message in ("Not Found", "Method Not Allowed")
    return bare_page(request, "error.html", status=status, title=title, message=said[status] if is_plain else message)


def database_failed(request: Request, error: Exception) -> Response:
    """Say that the database does not answer, or what it said."""
    if isinstance(error, OperationalError | InterfaceError):
        message = "The database does not answer. `tidings doctor` says why; then open this page again."
        return bare_page(request, "error.html", status=503, title="The database does not answer", message=message)
    assert isinstance(error, Error)  # noqa: S101  # for the type checker: registered for that class
    _log.error("console.database_refused path=%s error=%s", request.url.path, error)
    message = f"The database says: {str(error).strip()}\n`tidings doctor` looks for what is wrong."
    return bare_page(request, "error.html", status=500, title="The database refused", message=message)


def crashed(request: Request, _error: Exception) -> Response:
    """Say that the console has a fault; the error itself goes on to the server's log."""
    message = "The console has a fault. What exactly stands where `tidings up` runs; nothing of what is owed is lost."
    return bare_page(request, "error.html", status=500, title="Something broke", message=message)
