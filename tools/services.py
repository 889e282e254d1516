"""What the tools need at hand; the command line puts it together."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from runtime.errors import TidingsError
from runtime.ledger.database import Ledger
from runtime.postgres.server import PostgresServer
from runtime.settings import Settings
from runtime.setup.embedded import embedded_server
from runtime.source.reader import Source

_PREFIX = "tidings-rehearsal-"
_NOT_RUNNING = (
    "The Postgres server that Tidings brought is not running. Ask the person to run `tidings up`, then call again."
)


@dataclass(frozen=True)
class Services:
    """One project's rooms, as the tools enter them."""

    settings: Settings
    ledger: Ledger
    source: Source
    scratch: PostgresServer
    """Where rehearsals happen; started when the first one is asked for."""
    console_url: str
    """Where a person looks and approves, without a token and without a slash at the end."""

    def obstacle(self) -> str:
        """Return why no tool can work now, with the next step; empty when nothing stands in the way."""
        settings = self.settings
        return _NOT_RUNNING if settings.embedded and not embedded_server(settings.home).running() else ""

    def page(self, name: str) -> str:
        """Return the address of a workflow's page in the console."""
        return f"{self.console_url}/workflows/{name}"


@contextmanager
def open_services(settings: Settings) -> Iterator[Services]:
    """Yield the services of a project; at the end connections are closed and the rehearsals' server is gone.

    A process that was killed leaves its server behind; the next one takes it away.
    """
    _sweep(Path(tempfile.gettempdir()))
    with (
        tempfile.TemporaryDirectory(prefix=f"{_PREFIX}{os.getpid()}-", ignore_cleanup_errors=True) as folder,
        Ledger(settings.ledger_url, settings.project_id) as ledger,
        Source(settings.reader_url) as source,
    ):
        scratch = PostgresServer(Path(folder), scratch=True)
        try:
            yield Services(settings, ledger, source, scratch, console_url(settings))
        finally:
            scratch.stop()


def _sweep(parent: Path) -> None:
    for folder in parent.glob(f"{_PREFIX}*"):
        owner = folder.name.removeprefix(_PREFIX).partition("-")[0]
        if owner.isdigit() and not _is_running(int(owner)):
            with suppress(OSError, TidingsError):  # another user's, or another process is at it
                PostgresServer(folder, scratch=True).stop()
                shutil.rmtree(folder)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def console_url(settings: Settings) -> str:
    """Return where the console listens, without the token."""
    return f"http://{settings.console_host}:{settings.console_port}"
