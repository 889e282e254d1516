"""Fixtures of the fault tests: a market of one's own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.postgres.server import PostgresServer
from tests.faults.market import Market, market


@pytest.fixture
def fresh(server: PostgresServer, tmp_path: Path) -> Iterator[Market]:
    """A market with no process yet, for one test."""
    with market(server, tmp_path / "home") as fresh:
        yield fresh
