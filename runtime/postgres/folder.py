"""The files around a server's data: a lock against two set-ups at once, its port, and whose pid the pid file names."""

import fcntl
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runtime.errors import Temporary

_LOCK_SECONDS = 60.0
_NO_PROCESS = 2_147_483_000
_ROOM = 4 * 1024**3


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold a lock file that the operating system frees when the process dies; gives up after a minute."""
    deadline = time.monotonic() + _LOCK_SECONDS
    with path.open("w") as file:
        while not _locked(file.fileno()):
            if time.monotonic() > deadline:
                raise Temporary(
                    f"Another process has been setting up {path.parent} for a minute. Wait for it, or stop it."
                )
            time.sleep(0.05)
        yield


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def memory_folder() -> Path | None:
    """Return a folder that lives in memory and has room for a scratch server, None where there is none.

    Creating a database there takes an eighth of the time it takes on a disk.
    """
    folder = Path("/dev/shm")  # noqa: S108  # memory, not a guessable file
    try:
        return folder if shutil.disk_usage(folder).free > _ROOM and os.access(folder, os.W_OK) else None
    except OSError:
        return None


def postmaster_pid(data: Path) -> int | None:
    """Return the pid of the server that runs on a data folder, None when none does.

    A killed server leaves its pid file, and the number may belong to any other process by now: beside a living one
    Postgres would refuse to start. The number is then replaced by one that can't be a process. The rest of the file
    stays, by which Postgres sees whether processes of the killed server still use the data.
    """
    path = data / "postmaster.pid"
    try:
        lines = path.read_text().splitlines()
        pid = int(lines[0])
    except (FileNotFoundError, NotADirectoryError, ValueError, IndexError):
        return None
    if _serves(pid, data):
        return pid
    if pid != _NO_PROCESS:
        path.write_text("\n".join([str(_NO_PROCESS), *lines[1:]]) + "\n")
    return None


def _serves(pid: int, data: Path) -> bool:
    """Return whether a process is a Postgres that works in that folder, which is every server's current one."""
    process = Path("/proc") / str(pid)
    if not Path("/proc/self").exists():
        return "postgres" in _name(pid)
    try:
        status = (process / "stat").read_text()
        return status.rpartition(")")[2].split()[0] != "Z" and (process / "cwd").resolve(strict=True) == data.resolve()
    except (FileNotFoundError, ProcessLookupError):
        return False
    except PermissionError:
        return "(postgres)" in status


def _name(pid: int) -> str:
    command = ["ps", "-p", str(pid), "-o", "comm="]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout  # noqa: S603  # where no /proc is


def usable_port(path: Path) -> int:
    """Return the port in the file if it is free, else a free one, which the file then holds."""
    wanted = int(path.read_text()) if path.exists() else 0
    port = _bind(wanted) or _bind(0)
    if port != wanted:
        write_private(path, str(port))
    return port


def _bind(port: int) -> int:
    """Return the port if nobody listens on it, a free one for 0, and 0 if it is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return 0
        return int(probe.getsockname()[1])


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, replacing what is there."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
