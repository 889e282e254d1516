"""`/healthz`: one word for load balancers, and the reasons when it is not well."""

import psycopg
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from runtime.capture.health import capture_health
from runtime.console.desk import desk_of
from runtime.errors import NotFound
from runtime.ledger.project import load_project


def healthz(request: Request) -> Response:
    """Return 200 when all is well, 503 with reasons otherwise. Names nothing of the user's."""
    reasons = _reasons(request)
    return JSONResponse({"status": "red" if reasons else "green", "reasons": reasons}, 503 if reasons else 200)


def _reasons(request: Request) -> list[str]:
    ledger = desk_of(request).ledger
    try:
        with ledger.connection() as conn:
            project = load_project(conn, ledger.project_id)
            capture = capture_health(conn, ledger.project_id)
    except (psycopg.Error, NotFound):
        return ["the ledger does not answer"]
    reasons = ["everything is held until a person decides"] if project.held_reason else []
    return reasons + (["captured changes were missed, or would be"] if capture.red else [])
