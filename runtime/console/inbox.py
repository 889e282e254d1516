"""The local inbox: what was delivered without leaving the machine, as its reader would see it."""

from typing import Any

from psycopg.rows import dict_row
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from runtime.console.desk import Desk, desk_of
from runtime.console.pages import page
from runtime.engine.why import explain
from runtime.ledger.queries import load_queries

MAIL_POLICY = (
    "sandbox; default-src 'none'; img-src https: data:; style-src 'unsafe-inline'; "
    "frame-ancestors 'self'; base-uri 'none'"
)
_SHOWN = 200
_QUERIES = load_queries("runtime.console")


def inbox(request: Request) -> Response:
    """List the newest messages."""
    desk = desk_of(request)
    return page(request, "inbox.html", messages=_rows(desk, "inbox", limit=_SHOWN), state=_rows(desk, "inbox_state")[0])


def inbox_state(request: Request) -> Response:
    """Tell whether something arrived, for the page that is open."""
    return JSONResponse(_rows(desk_of(request), "inbox_state")[0])


def message(request: Request) -> Response:
    """Show one message with its text, its headers and everything that led to it."""
    found = _message(request)
    desk = desk_of(request)
    answer = explain(desk.ledger, desk.source, message_id=found["message_id"])
    return page(request, "message.html", message=found, chain=answer.lines())


def message_html(request: Request) -> Response:
    """Return the mail itself, for a frame that may run nothing; `scheme=dark` shows its dark side."""
    return mail_response(_message(request)["html"], request.query_params.get("scheme", "light"))


def mail_response(html: str, scheme: str) -> Response:
    """Return a mail's HTML under a policy that lets it run nothing and reach nothing but images."""
    if scheme == "dark":
        html = html.replace("(prefers-color-scheme: dark)", "all").replace("(prefers-color-scheme:dark)", "all")
    return HTMLResponse(html, headers={"content-security-policy": MAIL_POLICY, "cache-control": "no-store"})


def _message(request: Request) -> dict[str, Any]:
    found = _rows(desk_of(request), "inbox_message", message_id=request.path_params["message_id"])
    if not found:
        raise HTTPException(404, "No message has this number.")
    return found[0]


def _rows(desk: Desk, query: str, **values: object) -> list[dict[str, Any]]:
    with desk.ledger.connection() as conn, conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(_QUERIES[query], {"project_id": desk.ledger.project_id, **values}).fetchall()
