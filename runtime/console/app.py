"""The console: a few pages on loopback for the person who runs Tidings."""

from importlib import resources

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from runtime.console import health, inbox, runs, unsubscribing, workflows
from runtime.console.access import Access
from runtime.console.desk import Desk
from runtime.console.pages import page


def build_console(desk: Desk) -> Starlette:
    """Return the app. Everything needs the console's token once, but for recipients' pages and health."""
    hosts = ["127.0.0.1", "localhost", "[::1]", desk.host]
    app = Starlette(
        routes=[
            Route("/", _start),
            Route("/inbox", inbox.inbox, name="inbox"),
            Route("/inbox/state", inbox.inbox_state),
            Route("/inbox/{message_id:int}", inbox.message),
            Route("/inbox/{message_id:int}/html", inbox.message_html),
            Route("/workflows", workflows.workflows),
            Route("/workflows/{name}", workflows.workflow, name="workflow"),
            Route("/workflows/{name}/preview/{number:int}", workflows.workflow_preview),
            Route("/workflows/{name}/decision", workflows.decision, methods=["POST"]),
            Route("/runs", runs.runs),
            Route("/why", runs.why),
            Route("/unsubscribe/{token}", unsubscribing.ask, methods=["GET"]),
            Route("/unsubscribe/{token}", unsubscribing.confirm, methods=["POST"]),
            Route("/healthz", health.healthz),
            Mount("/static", StaticFiles(directory=str(resources.files("runtime.console").joinpath("static")))),
        ],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=hosts), Middleware(Access, desk=desk)],
        exception_handlers={HTTPException: _not_found},
    )
    app.state.desk = desk
    return app


def _start(_: Request) -> Response:
    return RedirectResponse("/inbox")


def _not_found(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101  # for the type checker: registered for that class
    return page(request, "error.html", status=error.status_code, message=error.detail)
