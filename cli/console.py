"""`tidings console`: the web process: the console's pages and the MCP server, on loopback."""

import asyncio
import threading
from dataclasses import replace

import click
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from cli.drafters import drafter_for
from cli.lifetime import log_to_stderr, until_stopped
from cli.person import person_name
from runtime.console.app import build_console
from runtime.console.desk import Desk
from runtime.settings import Settings, load_settings
from tools.http import PATH, http_app
from tools.server import build_server
from tools.services import Services, open_services


@click.command()
@click.option("--port", type=int, help="Instead of TIDINGS_CONSOLE_PORT.")
@click.option("--verbose", is_flag=True, help="Log every change of state.")
@click.option("--attached", is_flag=True, hidden=True, help="Stop when standard input ends.")
def console(*, port: int | None, verbose: bool, attached: bool) -> None:
    """Serve the console and, at /mcp, the MCP server. `tidings up` does this too."""
    log_to_stderr(verbose=verbose)
    settings = load_settings()
    serve(replace(settings, console_port=port or settings.console_port), until_stopped(attached=attached))


def serve(settings: Settings, stop: threading.Event) -> None:
    """Serve until stopped; requests under way are finished first."""
    with open_services(settings) as services:
        tools = http_app(
            build_server(services, drafter=drafter_for(services)),
            token=settings.console_token,
            host=settings.console_host,
            port=settings.console_port,
        )
        _run(_beside(tools, build_console(desk_of_services(services)), stop), settings, stop)


def desk_of_services(services: Services) -> Desk:
    """Return the console's desk: the services' project, and the person who runs this process."""
    settings = services.settings
    return Desk(
        ledger=services.ledger,
        source=services.source,
        installer_url=settings.installer_url,
        token=settings.console_token,
        person=person_name(),
        host=settings.console_host,
        public_url=settings.public_url,
        report_secrets=tuple(filter(None, settings.resend_webhook_secret.split(","))),
    )


def _beside(tools: ASGIApp, pages: ASGIApp, stop: threading.Event) -> ASGIApp:
    """Return an app that answers MCP with one and everything else with the other; only the first has a lifespan."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", PATH)
        is_mcp = path.startswith((PATH, "/.well-known/"))
        try:
            await (tools if is_mcp else pages)(scope, receive, send)
        except asyncio.CancelledError:  # what outlasts the grace at the end: no error worth a traceback
            if not stop.is_set():
                raise

    return app


def _run(app: ASGIApp, settings: Settings, stop: threading.Event) -> None:
    config = uvicorn.Config(
        app,
        host=settings.console_host,
        port=settings.console_port,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=3,
    )
    server = uvicorn.Server(config)

    def ask_to_stop() -> None:
        stop.wait()
        server.should_exit = True

    threading.Thread(target=ask_to_stop, daemon=True, name="stop").start()
    server.run()
