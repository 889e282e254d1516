"""procrastinate: no-op jobs, or one mail for each job."""

import asyncio
import json
import logging
import sys
from typing import Any

import procrastinate

from bench.peers.report import AsyncSender, count, ready

COMMAND, GIVEN = sys.argv[1], json.loads(sys.argv[2])
logging.getLogger("procrastinate").setLevel(logging.ERROR)
app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=GIVEN["url"], max_size=24))
sender = AsyncSender(GIVEN.get("sink", ""))


async def order(**row: Any) -> None:
    """Do nothing, or send one mail."""
    if GIVEN.get("sink"):
        await sender.send(f"order-{row['id']}", f"Order {row['id']}")
    count()


async def main() -> None:
    """Install the schema, or work until the input ends."""
    async with app.open_async():
        if COMMAND == "setup":
            await app.schema_manager.apply_schema_async()
            return
        app.task(name="order", queue="order")(order)
        ready()
        await app.run_worker_async(concurrency=20, install_signal_handlers=False)


asyncio.run(main())
