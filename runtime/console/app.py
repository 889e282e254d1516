"""The console: a few pages on loopback for the person who runs Tidings."""

from importlib import resources

from psycopg import Error
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from runtime.console import failures, health, inbox, metrics, reports, runs, stopping, unsubscribing, workflows
from runtime.console.access import Access, with_policy
from runtime.console.desk import Desk
from runtime.errors import TidingsError


def build_console(desk: Desk) -> ASGIApp:
    """Return the app. Everything needs the console's token once, but for recipients' pages, reports and health."""
    app = Starlette(
        routes=[
            Route("/", _start),
            Route("/inbox", inbox.inbox),
            Route("/inbox/state", inbox.inbox_state),
            Route("/inbox/{message_id:int}", inbox.message),
            Route("/inbox/{message_id:int}/html", inbox.message_html),
            Route("/workflows", workflows.workflows),
            Route("/workflows/{name}", workflows.workflow),
            Route("/workflows/{name}/preview/{number:int}", workflows.workflow_preview),
            Route("/workflows/{name}/decision", workflows.decision, methods=["POST"]),
            Route("/pause", stopping.stopping, methods=["GET"]),
            Route("/pause", stopping.stop_or_go, methods=["POST"]),
            Route("/runs", runs.runs),
            Route("/runs/{run_id:int}", runs.run),
            Route("/why", runs.why),
            Route("/unsubscribe/{token}", unsubscribing.ask, methods=["GET"]),
            Route("/unsubscribe/{token}", unsubscribing.confirm, methods=["POST"]),
            Route("/webhooks/resend", reports.resend_report, methods=["POST"]),
            Route("/health", health.health),
            Route("/healthz", health.healthz),
            Route("/metrics", metrics.metrics),
            Mount("/static", StaticFiles(directory=str(resources.files("runtime.console").joinpath("static")))),
        ],
        middleware=[Middleware(Access, desk=desk)],
        exception_handlers={
            HTTPException: failures.not_there,
            TidingsError: failures.refused,
            Error: failures.database_failed,
            Exception: failures.crashed,
        },
    )
    app.state.desk = desk
    return with_policy(app)


def _start(_: Request) -> Response:
    return RedirectResponse("/inbox")
