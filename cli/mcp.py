"""`tidings mcp`: the tools for a chat client, over standard input and output; and how to connect one."""

import os
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import click

from cli.drafters import drafter_for
from cli.lifetime import log_to_stderr
from cli.mcp_config import CLIENTS, Local, Remote, snippet
from cli.terminal import say
from runtime.settings import Settings, load_settings
from tools.http import client_token, resource_url
from tools.scopes import SCOPES
from tools.server import build_server
from tools.services import Services, open_services


@click.command()
@click.option(
    "--print-config",
    "client",
    type=click.Choice(sorted(CLIENTS)),
    help="Print what connects this client, and end.",
)
@click.option("--http", "over_http", is_flag=True, help="With --print-config: the server that `tidings up` runs.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(SCOPES),
    help="With --print-config --http: only this scope; may be repeated.",
)
@click.option("--verbose", is_flag=True, help="Log every call, on the error stream.")
def mcp(*, client: str | None, over_http: bool, scopes: tuple[str, ...], verbose: bool) -> None:
    """Serve Tidings' tools over MCP on standard input and output. A chat client starts this, people rarely do."""
    settings = load_settings()
    if client:
        say(snippet(client, _remote(settings, scopes or SCOPES) if over_http else _local(settings)))
        return
    log_to_stderr(verbose=verbose)
    with open_services(settings) as services, _ends_with_its_scratch(services):
        build_server(services, drafter=drafter_for(services)).run("stdio")


def _local(settings: Settings) -> Local:
    return Local(_executable(), ("mcp",), (("TIDINGS_HOME", str(settings.home)),))


def _remote(settings: Settings, scopes: tuple[str, ...]) -> Remote:
    url = resource_url(settings.console_host, settings.console_port)
    return Remote(url, client_token(settings.console_token, url, scopes))


def _executable() -> str:
    """Return the command that was called, or the one beside this Python: clients have another PATH than a shell."""
    called = Path(sys.argv[0]).absolute()
    return str(called if called.name == "tidings" else Path(sys.executable).with_name("tidings"))


@contextmanager
def _ends_with_its_scratch(services: Services) -> Iterator[None]:
    """Stop the rehearsals' server also when a signal ends this process, which may be waiting for input just then."""

    def end(number: int, _frame: FrameType | None) -> None:
        services.scratch.stop()
        shutil.rmtree(services.scratch.home, ignore_errors=True)
        os._exit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
