"""Opens the project for a command: its settings, its ledger, and its database as the reader sees it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from psycopg import Connection

from runtime.errors import Temporary
from runtime.ledger.database import Ledger
from runtime.settings import Settings, load_settings
from runtime.setup.look import connect
from runtime.source.reader import Source


@dataclass(frozen=True)
class OpenProject:
    """What a command works with."""

    settings: Settings
    ledger: Ledger
    source: Source


@contextmanager
def open_project() -> Iterator[OpenProject]:
    """Yield the project and close its connections at the end; says at once when its database does not answer."""
    settings = load_settings()
    connect_ledger(settings).close()
    with (
        Ledger(settings.ledger_url, settings.project_id, max_size=2) as ledger,
        Source(settings.reader_url, max_size=2) as source,
    ):
        yield OpenProject(settings, ledger, source)


def connect_ledger(settings: Settings) -> Connection[Any]:
    """Connect as the ledger role; says what to do where the database is Tidings' own and sleeps."""
    try:
        return connect(settings.ledger_url)
    except Temporary as error:
        if settings.embedded:
            raise Temporary("Tidings' own Postgres is not running. `tidings up` starts it.") from error
        raise
