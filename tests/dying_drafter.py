"""A process that begins a request and dies, as by kill -9, in the middle of the node that tells a given line.

Arguments: the database's URL, the model's URL, the line. Prints the lines that it told.
"""

import asyncio
import os
import sys
from pathlib import Path

from agent.drafter import GraphDrafter
from runtime.ledger.database import Ledger
from runtime.postgres.server import PostgresServer
from runtime.source.reader import Source
from tests.desk import REQUEST, settings_for
from tools.server import build_server
from tools.services import Services

NEVER_STARTED = PostgresServer(Path("nowhere"), scratch=True)


def main(database: str, model_url: str, line: str) -> None:
    """Begin and die."""
    settings = settings_for(database, model_url)

    async def tell(told: str) -> None:
        print(told, flush=True)  # noqa: T201  # what the parent reads
        if told.startswith(line):
            os._exit(9)

    with Ledger(database) as ledger, Source(database) as source:
        server = build_server(Services(settings, ledger, source, NEVER_STARTED, ""))
        asyncio.run(GraphDrafter(server, settings=settings).draft(REQUEST, progress=tell))


if __name__ == "__main__":
    main(*sys.argv[1:])
