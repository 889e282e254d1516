"""DBOS: no-op workflows from a queue, or one mail in a step of each."""

import json
import sys
import threading

from dbos import DBOS, DBOSConfig

from bench.peers.report import SyncSender, count, ready

COMMAND, GIVEN = sys.argv[1], json.loads(sys.argv[2])
config: DBOSConfig = {
    "name": "bench",
    "system_database_url": GIVEN["url"],
    "application_version": "1",
    "log_level": "WARNING",
    "sys_db_pool_size": 24,
}
DBOS(config=config)
sender = SyncSender(GIVEN.get("sink", ""))


def tell(order_id: int) -> None:
    """Send one mail."""
    sender.send(f"order-{order_id}", f"Order {order_id}")


told = DBOS.step(name="tell")(tell)


def order(order_id: int) -> None:
    """Do nothing, or send one mail."""
    if GIVEN.get("sink"):
        told(order_id)
    count()


DBOS.workflow(name="order")(order)
DBOS.launch()
DBOS.register_queue("order", polling_interval_sec=0.05, worker_concurrency=100)
if COMMAND == "work":
    ready()
    threading.Event().wait()
DBOS.destroy()
