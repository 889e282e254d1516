"""Puts an engine together for a process: the one place where settings become connections."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta

from runtime.delivery.providers import build_delivery
from runtime.engine.engine import Engine
from runtime.ledger.database import BY_KEY, Ledger
from runtime.settings import Settings
from runtime.source.reader import Source


@contextmanager
def open_engine(settings: Settings, *, connections: int = 8) -> Iterator[Engine]:
    """Yield an engine on the project's database and close its connections, also those to providers, at the end."""
    with (
        Ledger(settings.ledger_url, settings.project_id, min_size=1, max_size=connections, settings=BY_KEY) as ledger,
        Source(settings.reader_url, min_size=1, max_size=connections) as source,
        closing(build_delivery(settings)) as delivery,
    ):
        yield Engine(
            ledger=ledger,
            source=source,
            delivery=delivery,
            environment=settings.environment,
            lease=timedelta(seconds=settings.lease_seconds),
        )
