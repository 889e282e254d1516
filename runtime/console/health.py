"""`/healthz`: one word for load balancers, and the reasons when it is not well."""

import psycopg
from psycopg_pool import PoolTimeout
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from runtime.capture.health import capture_health
from runtime.console.desk import desk_of
from runtime.ledger.project import load_project


def healthz(request: Request) -> Response:
    """Return 200 when all is well, 503 with reasons otherwise. Names nothing of the user's."""
    desk = desk_of(request)
    try:
        with desk.ledger.connection() as conn:
            project = load_project(conn, desk.ledger.project_id)
            capture = capture_health(conn, desk.ledger.project_id)
    except (psycopg.Error, PoolTimeout):
        return JSONResponse({"status": "red", "reasons": ["the ledger does not answer"]}, 503)
    reasons = ["everything is held until a person decides"] if project.held_reason else []
    reasons += ["captured changes were missed"] if capture.red else []
    return JSONResponse({"status": "red" if reasons else "green", "reasons": reasons}, 503 if reasons else 200)
