"""The local inbox: what was delivered without leaving the machine, as its reader would see it."""

from itertools import groupby
from typing import Any

from psycopg.rows import dict_row
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from runtime.console.desk import Desk, desk_of
from runtime.console.mail import mail_frame
from runtime.console.numbers import number_in
from runtime.console.pages import page
from runtime.engine.why import explain
from runtime.ledger.queries import load_queries

SHOWN = 50
_ALERT = "Tidings itself told this contact that something is not as it should be, or that it is over."
_QUERIES = load_queries("runtime.console")


def inbox(request: Request) -> Response:
    """List messages by the day they came, the newest first; `before` is a message's number, for older ones."""
    desk = desk_of(request)
    before = number_in(request, "before")
    newest = _newest(desk)
    found = _rows(desk, "inbox", before=before, limit=SHOWN + 1)
    days = [(day, list(of)) for day, of in groupby(found[:SHOWN], key=lambda row: row["delivered_at"].date())]
    older = found[SHOWN - 1]["message_id"] if len(found) > SHOWN else None
    return page(request, "inbox.html", days=days, newest=newest, before=before, older=older)


def inbox_state(request: Request) -> Response:
    """Tell the newest message's number, for the page that is open."""
    return JSONResponse({"newest": _newest(desk_of(request))})


def message(request: Request) -> Response:
    """Show one message with its text, its headers and everything that led to it."""
    found = _message(request)
    desk = desk_of(request)
    if found["is_alert"]:
        return page(request, "message.html", message=found, chain=[_ALERT], run=None)
    answer = explain(desk.ledger, desk.source, message_id=found["message_id"])
    return page(request, "message.html", message=found, chain=answer.lines(), run=answer.runs[0])


def message_html(request: Request) -> Response:
    """Return the mail itself."""
    return mail_frame(request, _message(request)["html"])


def _newest(desk: Desk) -> int:
    newest: int = _rows(desk, "newest")[0]["newest"]
    return newest


def _message(request: Request) -> dict[str, Any]:
    found = _rows(desk_of(request), "message", message_id=request.path_params["message_id"])
    if not found:
        raise HTTPException(404, "The inbox has no message of this number.")
    return found[0]


def _rows(desk: Desk, query: str, **values: object) -> list[dict[str, Any]]:
    with desk.ledger.connection() as conn, conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(_QUERIES[query], {"project_id": desk.ledger.project_id, **values}).fetchall()
