"""Runs, and the answer to "why did, or didn't, this person get it?"."""

from psycopg.rows import dict_row
from starlette.requests import Request
from starlette.responses import Response

from runtime.console.desk import desk_of
from runtime.console.pages import page
from runtime.engine.why import explain
from runtime.ledger.queries import load_queries

_SHOWN = 100
_QUERIES = load_queries("runtime.console")


def runs(request: Request) -> Response:
    """List the newest runs, of all workflows or of one."""
    desk = desk_of(request)
    workflow = request.query_params.get("workflow") or None
    values = {"project_id": desk.ledger.project_id, "workflow": workflow, "limit": _SHOWN}
    with desk.ledger.connection() as conn, conn.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute(_QUERIES["runs"], values).fetchall()
    return page(request, "runs.html", runs=found, workflow=workflow)


def why(request: Request) -> Response:
    """Answer for an address, on the page that asks for one."""
    desk = desk_of(request)
    address = request.query_params.get("address", "").strip()
    workflow = request.query_params.get("workflow", "").strip() or None
    answer = explain(desk.ledger, desk.source, address=address, workflow=workflow).lines() if address else ()
    return page(request, "why.html", address=address, workflow=workflow, answer=answer)
