"""Health: `/healthz` for load balancers, and the page that says at one glance what is wrong and what to do."""

import psycopg
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from runtime.console.concerns import concerns
from runtime.console.desk import desk_of
from runtime.console.figures import Figures, read_figures
from runtime.console.pages import page
from runtime.errors import NotFound


def health(request: Request) -> Response:
    """Show how the project fares."""
    figures = _figures(request)
    return page(request, "health.html", figures=figures, concerns=concerns(figures))


def healthz(request: Request) -> Response:
    """Return 200 when nothing is red, 503 with reasons otherwise. Names nothing of the user's."""
    try:
        found = [concern.public for concern in concerns(_figures(request)) if concern.level == "red"]
    except (psycopg.Error, NotFound):
        found = ["the ledger does not answer"]
    reasons = list(dict.fromkeys(filter(None, found)))
    return JSONResponse({"status": "red" if reasons else "green", "reasons": reasons}, 503 if reasons else 200)


def _figures(request: Request) -> Figures:
    ledger = desk_of(request).ledger
    with ledger.transaction() as conn:
        return read_figures(conn, ledger.project_id)
