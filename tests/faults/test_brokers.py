"""RabbitMQ and Redis carry the nudges as well as Postgres does; wiping them loses nothing."""

from pathlib import Path

import pika
import pytest

from runtime.postgres.server import PostgresServer
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
