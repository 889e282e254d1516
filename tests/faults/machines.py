"""Several machines on one: network namespaces of their own, whose cables can be pulled.

What runs in one reaches Postgres directly, so that a pulled cable is to Postgres what it would be in real life:
silence, no end of the connection. Other services are reached through a relay.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from runtime.postgres.server import PostgresServer

_NETWORK = "10.213.{number}.{end}"
_THIS_END, _ITS_END = 1, 2


@dataclass(frozen=True)
class Machine:
    """A network namespace and the cable to it."""

    name: str
    cable: str
    address: str
    """Its own."""
    host: str
    """The address under which this side is reached from there."""

    def inside(self, command: list[str]) -> list[str]:
        """Return the command that runs another one there."""
        return ["ip", "netns", "exec", self.name, *command]

    def pull(self) -> None:
        """Pull the cable: packets are lost both ways, and nobody is told."""
        _ip("link", "set", self.cable, "down")

    def plug(self) -> None:
        """Put the cable back."""
        _ip("link", "set", self.cable, "up")


@contextmanager
def machines(count: int) -> Iterator[list[Machine]]:
    """Yield some machines; skips the test where this process may not make any."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("needs root and the program ip, to make network namespaces")
    with ExitStack() as stack:
        yield [stack.enter_context(_machine(number)) for number in range(1, count + 1)]


@contextmanager
def _machine(number: int) -> Iterator[Machine]:
    name = f"tidings-{os.getpid()}-{number}"
    cable, there = f"td{os.getpid() % 100_000}n{number}", f"td{os.getpid() % 100_000}p{number}"
    here, its = (_NETWORK.format(number=number, end=end) for end in (_THIS_END, _ITS_END))
    _ip("netns", "add", name)
    _ip("link", "add", cable, "type", "veth", "peer", "name", there, "netns", name)
    try:
        _ip("address", "add", f"{here}/24", "dev", cable)
        _ip("link", "set", cable, "up")
        for command in (f"address add {its}/24 dev {there}", f"link set {there} up", "link set lo up"):
            _ip("-n", name, *command.split())
        yield Machine(name, cable, its, here)
    finally:
        _ip("link", "delete", cable)  # the namespace itself may take a while to go
        _ip("netns", "delete", name)


class ReachablePostgres(PostgresServer):
    """A scratch server that the machines reach as well."""

    def _settings(self, port: int) -> dict[str, str]:
        return {**super()._settings(port), "listen_addresses": "*"}


@contextmanager
def reachable_postgres(folder: Path) -> Iterator[PostgresServer]:
    """Yield a running server that lets in whoever has a password and comes from the machines."""
    server = ReachablePostgres(folder, scratch=True)
    server.start()
    try:
        with (folder / "data" / "pg_hba.conf").open("a") as rules:
            rules.write(f"host all all {_NETWORK.format(number=0, end=0)}/16 scram-sha-256\n")
        with psycopg.connect(server.url, autocommit=True) as admin:
            admin.execute(sql.SQL("SELECT pg_reload_conf()"))
        yield server
    finally:
        server.stop()


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
