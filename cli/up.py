"""`tidings up`: everything a project needs, in one go, until Ctrl-C."""

import fcntl
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import click

from cli.lifetime import interrupted_by_signals, log_to_stderr, until_stopped
from cli.processes import Processes
from cli.terminal import progress, say
from runtime.errors import Conflict, Temporary, TidingsError
from runtime.ledger.migrate import pending
from runtime.ledger.project import check_binding, load_project
from runtime.settings import (
    LOCK_FILE,
    SECRETS_FILE,
    Settings,
    default_home,
    environment_for,
    load_settings,
    project_exists,
    read_environment,
)
from runtime.setup.embedded import DATABASE, embedded_server, start_embedded
from runtime.setup.look import connect
from runtime.setup.prepare import apply, prepare

_READY_SECONDS = 30.0


@click.command()
@click.option("--verbose", is_flag=True, help="Log every change of state.")
def up(*, verbose: bool) -> None:
    """Run everything: dispatcher, workers, console and MCP server, and Postgres where it is Tidings' own.

    Without a project, a Postgres of Tidings' own is set up in .tidings first. Stop with Ctrl-C; a second start goes on.
    """
    log_to_stderr(verbose=verbose)
    interrupted_by_signals()
    with running(default_home(), progress(), verbose=verbose) as (settings, processes):
        stop = until_stopped()
        say_where(settings)
        processes.watch(stop)


@contextmanager
def running(
    home: Path, tell: Callable[[str], None], *, verbose: bool = False, any_port: bool = False
) -> Iterator[tuple[Settings, Processes]]:
    """Start the project's processes and yield once the console answers.

    At the end, however it comes, all of them are gone, and so is Tidings' own Postgres. With `any_port` the console
    listens on another port where its own is taken.
    """
    home.mkdir(parents=True, exist_ok=True)
    with _alone(home), ExitStack() as stack:
        stack.callback(_stop_postgres, home)
        settings = _ready_project(home, tell)
        if any_port and _why_not(settings):
            settings = replace(settings, console_port=_free_port())
        _refuse_taken_port(settings)
        environment = environment_for(home) | {"TIDINGS_CONSOLE_PORT": str(settings.console_port)}
        processes = stack.enter_context(Processes(tell, environment))
        stack.callback(_say_goodbye, tell)  # leaving goes backwards: this first
        tell(f"Starting a dispatcher, {settings.worker_processes} worker(s) and the console")
        _start(processes, settings, ("--verbose",) if verbose else ())
        _wait_for_console(settings, processes)
        yield settings, processes


def say_where(settings: Settings) -> None:
    """Print the addresses a person needs."""
    base = console_url(settings)
    say(f"Console and inbox   {base}/?token={settings.console_token}", bold=True)
    say(f"MCP server          {base}/mcp; `tidings mcp --print-config …` says how to connect a client")
    if settings.embedded:
        say(f"Your database       {embedded_server(settings.home).database_url(DATABASE)}")
    say("Ctrl-C stops everything; nothing that is owed is lost.")


def console_url(settings: Settings) -> str:
    """Return where the console listens, without the token."""
    return f"http://{settings.console_host}:{settings.console_port}"


def _ready_project(home: Path, tell: Callable[[str], None]) -> Settings:
    """Return the project's settings with its database up; sets up Tidings' own database where there is no project."""
    if not project_exists(home):
        url = start_embedded(home, tell)
        tell("Setting Tidings up in it; create your tables there, then `tidings init` shows them to Tidings")
        apply(prepare(home, url), environment=read_environment())
    elif load_settings(home).embedded:
        start_embedded(home, tell)
    settings = load_settings(home)
    with connect(settings.installer_url) as conn:
        missing = pending(conn)
    if missing:
        raise TidingsError(
            f"Schema tidings lacks {', '.join(missing)}. Run `tidings init` again; it brings it up to date."
        )
    with connect(settings.ledger_url) as conn:
        project = load_project(conn, settings.project_id)
        held = check_binding(conn, project, settings.environment) or project.held_reason
    if held:
        tell(f"Everything is held: {held}")
    return settings


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Refuse a second `up` on one home; the lock goes with the process."""
    with (home / LOCK_FILE).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Conflict(f"Tidings is running for {home} already. Stop that one first.") from error
        yield


def _start(processes: Processes, settings: Settings, more: tuple[str, ...]) -> None:
    processes.start("console", "console", "--port", str(settings.console_port), *more)
    processes.start("dispatcher", "dispatch", *more)
    for number in range(settings.worker_processes):
        processes.start(f"worker {number + 1}", "worker", *more)


def _say_goodbye(tell: Callable[[str], None]) -> None:
    until_stopped()  # from here on a second Ctrl-C leaves nothing behind
    tell("Stopping")


def _stop_postgres(home: Path) -> None:
    until_stopped()
    embedded_server(home).stop()


def _why_not(settings: Settings) -> str:
    """Return why the console can't listen where it should, empty when it can."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.console_host, settings.console_port))
        except OSError as error:
            return error.strerror or str(error)
    return ""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _refuse_taken_port(settings: Settings) -> None:
    if reason := _why_not(settings):
        raise Conflict(
            f"{settings.console_host}:{settings.console_port} can't be used for the console ({reason}). Write "
            f"TIDINGS_CONSOLE_PORT={settings.console_port + 1}, or another free port, into "
            f"{settings.home / SECRETS_FILE} (mode 0600), where every command of this project finds it."
        )


def _wait_for_console(settings: Settings, processes: Processes) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while True:
        time.sleep(0.1)
        try:
            with urllib.request.urlopen(f"{console_url(settings)}/healthz", timeout=2):  # noqa: S310  # our own
                return
        except urllib.error.HTTPError:
            return
        except OSError:
            dead = [child.name for child in processes.children if child.process.poll() is not None]
            if dead or time.monotonic() > deadline:
                what = f"The {dead[0]} ended at once" if dead else "The console does not answer"
                raise Temporary(f"{what}; its message is above. Run `tidings doctor`, or try again.") from None
