"""The demo looks into the ledger's books: did a message arrive, who waits, why."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any, Self, TypeVar

from psycopg.rows import class_row

from runtime.engine.why import explain
from runtime.errors import Temporary
from runtime.ledger.database import Ledger
from runtime.ledger.queries import load_queries
from runtime.settings import Settings
from runtime.source.reader import Source

_PATIENCE = 20.0
_QUERIES = load_queries("cli", "demo.sql")

Found = TypeVar("Found")


@dataclass(frozen=True)
class Arrived:
    """A message in the local inbox."""

    id: int
    subject: str
    recipient: str
    milliseconds: int
    """From the row's change to the inbox."""


class Books:
    """The demo project's ledger and source; closes them at the end."""

    def __init__(self, settings: Settings) -> None:
        self.ledger = Ledger(settings.ledger_url, settings.project_id, max_size=2)
        self.source = Source(settings.reader_url, max_size=2)

    def newest(self) -> int:
        """Return the number of the newest message, 0 when there is none."""
        row = self._one("newest_message")
        return int(row[0]) if row else 0

    def wait_for_message(self, workflow: str, after: int) -> Arrived:
        """Return the workflow's first message that is newer than `after`."""
        values = {**self._project(), "workflow": workflow, "after": after}

        def look() -> Arrived | None:
            with self.ledger.connection() as conn, conn.cursor(row_factory=class_row(Arrived)) as cursor:
                return cursor.execute(_QUERIES["next_message"], values).fetchone()

        return _wait(look, "No message arrived")

    def wait_for_timer(self) -> datetime:
        """Return until when the newest waiting run waits."""
        row = _wait(lambda: self._one("newest_timer"), "No run waits")
        due: datetime = row[0]
        return due

    def why(self, address: str, workflow: str) -> tuple[str, ...]:
        """Return what `tidings why ADDRESS --workflow NAME --limit 1` answers."""
        return tuple(explain(self.ledger, self.source, address=address, workflow=workflow, limit=1).lines())

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close the connections."""
        self.ledger.close()
        self.source.close()

    def _project(self) -> dict[str, int]:
        return {"project_id": self.ledger.project_id}

    def _one(self, query: str) -> tuple[Any, ...] | None:
        with self.ledger.connection() as conn:
            return conn.execute(_QUERIES[query], self._project()).fetchone()


def _wait(look: Callable[[], Found | None], what: str) -> Found:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        found = look()
        if found is not None:
            return found
        time.sleep(0.05)
    raise Temporary(f"{what} within {_PATIENCE:.0f} seconds. Run `tidings doctor`, and look at /runs in the console.")
