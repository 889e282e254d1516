"""RabbitMQ and Redis carry the nudges as well as Postgres does; wiping them loses nothing."""

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pika
import pytest

from runtime.postgres.server import PostgresServer
from tests.faults.market import market
from tests.faults.system import wait_for, whole_system
from tests.servers.rabbitmq import rabbitmq
from tests.servers.redis import redis_server

pytestmark = pytest.mark.services


def test_rabbitmq_works_by_a_url_and_wiping_it_loses_nothing(server: PostgresServer, tmp_path: Path) -> None:
    folder = tmp_path / "rabbitmq"
    folder.mkdir()
    with rabbitmq(folder) as url, whole_system(server, tmp_path / "home", broker_url=url) as system:
        system.start("dispatch", "worker")
        system.ship(1, 20)
        wait_for(lambda: len(system.far_end.mails) == 20, lambda: f"{len(system.far_end.mails)} of 20 accepted")
        system.kill("worker")
        system.ship(21, 50)
        wait_for(lambda: system.ledger_says("SELECT count(*) FROM tidings.run") == 50, lambda: "not all was claimed")
        with pika.BlockingConnection(pika.URLParameters(url)) as connection:
            connection.channel().queue_purge("tidings")
        system.let_leases_run_out()
        system.start("worker-2")
        system.check(1, 50)


def test_redis_works_by_a_url(server: PostgresServer, tmp_path: Path) -> None:
    with redis_server(tmp_path) as url, whole_system(server, tmp_path / "home", broker_url=url) as system:
        system.start("dispatch", "worker", "worker-2")
        system.ship(1, 30)
        system.check(1, 30)


def stopped_and_started(
    server: PostgresServer, tmp_path: Path, broker: Callable[[Path, int], AbstractContextManager[str]]
) -> None:
    """Stop a broker while rows are written, and start an empty one in its place."""
    with ExitStack() as first:
        (tmp_path / "first").mkdir()
        url = first.enter_context(broker(tmp_path / "first", 0))
        with market(server, tmp_path / "home", broker_url=url) as traded:
            traded.start("dispatch", "worker")
            traded.trader.act(40)
            wait_for(lambda: bool(traded.history.records("accepted")), lambda: "nothing was accepted")
            first.close()
            traded.history.write("stopped")
            traded.trader.act(40)
            traded.claimed()
            (tmp_path / "second").mkdir()
            with broker(tmp_path / "second", urlsplit(url).port or 0):
                traded.trader.act(20)
                traded.settle(patience=90)
                traded.judge()
                assert all(process.poll() is None for process in traded.system.processes.values())


def test_rabbitmq_is_stopped_and_comes_back_empty(server: PostgresServer, tmp_path: Path) -> None:
    stopped_and_started(server, tmp_path, rabbitmq)


def test_redis_is_stopped_and_comes_back_empty(server: PostgresServer, tmp_path: Path) -> None:
    stopped_and_started(server, tmp_path, redis_server)
