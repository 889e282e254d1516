"""Runs, and the answer to "why did, or didn't, this person get it?"."""

from typing import Literal

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from runtime.console.desk import desk_of
from runtime.console.numbers import number_in, number_of
from runtime.console.pages import page
from runtime.engine.answer import Explanation
from runtime.engine.listing import STATES, State, list_runs
from runtime.engine.why import explain
from runtime.errors import TidingsError

SHOWN = 50
_MOST = 5


def runs(request: Request) -> Response:
    """List the newest runs, of all workflows or of one, in any state or in one; `before` is a run, for older ones."""
    workflow, given = request.query_params.get("workflow", ""), request.query_params.get("state", "")
    state: State | Literal[""] = next((state for state in STATES if state == given), "")
    if given != state:
        raise HTTPException(400, f"No run is ever {given[:40]!r}. States are {', '.join(STATES)}.")
    before = number_in(request, "before")
    ledger = desk_of(request).ledger
    found = list_runs(ledger, workflow=workflow, state=state, limit=SHOWN + 1, before=before)
    older = found[SHOWN - 1].id if len(found) > SHOWN else None
    asked = {"workflow": workflow, "state": state}
    return page(request, "runs.html", runs=found[:SHOWN], older=older, before=before, states=STATES, asked=asked)


def run(request: Request) -> Response:
    """Show one run from what started it to what became of its messages."""
    desk = desk_of(request)
    found = explain(desk.ledger, desk.source, run_id=number_of(request, "run_id", "run"))
    return page(request, "run.html", run=found.runs[0], answer=found)


def why(request: Request) -> Response:
    """Answer for an address, a row or a workflow, on the page that asks for one."""
    asked = {name: request.query_params.get(name, "").strip() for name in ("address", "table", "key", "workflow")}
    answer, problem = None, ""
    if any(asked.values()):
        try:
            answer = _explained(request, asked)
        except TidingsError as error:
            problem = str(error)
    return page(request, "why.html", status=404 if problem else 200, asked=asked, answer=answer, problem=problem)


def _explained(request: Request, asked: dict[str, str]) -> Explanation:
    if bool(asked["table"]) != bool(asked["key"]):
        raise TidingsError("A row has a table and a key: say both, such as shop.orders and 17.")
    desk = desk_of(request)
    return explain(
        desk.ledger,
        desk.source,
        address=asked["address"] or None,
        workflow=asked["workflow"] or None,
        row=(asked["table"], asked["key"]) if asked["table"] else None,
        limit=_MOST,
    )
