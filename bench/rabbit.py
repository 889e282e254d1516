"""A RabbitMQ of the benchmark's own, where the program is installed."""

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.peer import wait_until

_PATIENCE = 15.0
_PLACES = ("/usr/lib/rabbitmq/bin/rabbitmq-server",)


@contextmanager
def rabbitmq() -> Iterator[str]:
    """Yield the URL of a fresh broker on loopback, gone at the end; an empty one where RabbitMQ is not installed."""
    program = next((place for place in _PLACES if Path(place).exists()), shutil.which("rabbitmq-server"))
    if program is None:
        yield ""
        return
    with TemporaryDirectory(prefix="rabbitmq-", ignore_cleanup_errors=True) as folder:
        port, environment = _free_port(), _environment(Path(folder))
        environment["RABBITMQ_NODE_PORT"] = str(port)
        with (Path(folder) / "out").open("w") as out:
            process = subprocess.Popen([program], env=environment, stdout=out, stderr=out, process_group=0)
        try:
            wait_until(lambda: _answers(port), "RabbitMQ does not start", pause=0.1)
            yield f"amqp://guest:guest@127.0.0.1:{port}/"
        finally:
            process.terminate()
            try:
                process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:  # nothing in it is needed any more
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            stop = ["epmd", "-port", environment["ERL_EPMD_PORT"], "-kill"]
            subprocess.run(stop, env=environment, capture_output=True, check=False)


def _environment(folder: Path) -> dict[str, str]:
    (folder / "plugins").write_text("[].\n")
    return {
        **os.environ,
        "HOME": str(folder),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_EPMD_PORT": str(_free_port()),
        "RABBITMQ_NODENAME": "bench@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_DIST_PORT": str(_free_port()),
        "RABBITMQ_MNESIA_BASE": str(folder / "data"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_CONF_ENV_FILE": "/dev/null",
        "RABBITMQ_CONFIG_FILE": str(folder / "none"),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as probe:
            probe.sendall(b"AMQP\x00\x00\x09\x01")
            return bool(probe.recv(1))
    except OSError:
        return False
