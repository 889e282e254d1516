"""The peers: installed into a folder of the benchmark's own, each run in processes that report on their output.

A peer's script takes a command and a JSON argument. `setup` ends when the schema is there. `work` prints
{"ready": true}, then {"done": n} whenever the number of finished jobs grew, and ends when its input ends.
"""

import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from runtime.errors import NotFound, TidingsError

_HERE = Path(__file__).parent
SCRIPTS = _HERE / "peers"
_PATIENCE = 60.0


@dataclass(frozen=True)
class Peers:
    """Where the peers are installed."""

    folder: Path

    def command(self, script: str) -> list[str]:
        """Return what runs a peer's script: with the Node or the Python that was installed for it."""
        if script.endswith(".mjs"):
            node = self.folder / "node"
            return [str(node / "node_modules" / "node" / "bin" / "node"), str(node / script)]
        return [str(self.folder / "python" / "bin" / "python"), "-m", f"bench.peers.{script.removesuffix('.py')}"]

    def setup(self, script: str, **given: Any) -> None:
        """Install a peer's schema."""
        command = [*self.command(script), "setup", json.dumps(given)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=False, cwd=_HERE.parent)
        if done.returncode != 0:
            raise TidingsError(f"{script} setup failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")

    def work(self, script: str, **given: Any) -> "PeerProcess":
        """Start a peer's worker; use it as a context."""
        return PeerProcess([*self.command(script), "work", json.dumps(given)])


class PeerProcess:
    """A running worker of a peer; leaving the context ends it."""

    def __init__(self, command: list[str]) -> None:
        self.done = 0
        self._ready = threading.Event()
        self._name = command[-3]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=_HERE.parent, process_group=0
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def progress(self) -> int:
        """Return how many jobs are done."""
        return self.done

    def __enter__(self) -> Self:
        """Wait until it works."""
        if not self._ready.wait(_PATIENCE) or self._process.poll() is not None:
            self._end()
            raise TidingsError(f"{self._name} does not get ready; see what it says above.")
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self._end()

    def _end(self) -> None:
        if self._process.stdin:
            with suppress(BrokenPipeError):
                self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:  # nothing of it is needed any more
            self._process.kill()
            self._process.wait()
        self._reader.join(5)
        if self._process.stdout:
            self._process.stdout.close()

    def _read(self) -> None:
        for line in self._process.stdout or ():
            if not line.startswith("{"):
                sys.stderr.write(line)
                continue
            said = json.loads(line)
            self.done = said.get("done", self.done)
            if said.get("ready"):
                self._ready.set()
        self._ready.set()


def install(folder: Path, tell: Callable[[str], None]) -> Peers:
    """Install the peers of bench/peers, in the versions that stand there; does nothing when that was done."""
    _install_node(folder / "node", tell)
    _install_python(folder / "python", tell)
    return Peers(folder)


def _install_node(folder: Path, tell: Callable[[str], None]) -> None:
    wanted = (SCRIPTS / "package-lock.json").read_text()
    stamp = folder / "installed"
    folder.mkdir(parents=True, exist_ok=True)
    for script in SCRIPTS.glob("*.mjs"):  # Node looks for packages beside the script
        shutil.copy(script, folder)
    if stamp.exists() and stamp.read_text() == wanted:
        return
    if shutil.which("npm") is None:
        raise NotFound("npm is missing, which installs pg-boss and graphile-worker. Install it, or use --no-peers.")
    tell("Installing the Node peers")
    for file in ("package.json", "package-lock.json"):
        shutil.copy(SCRIPTS / file, folder)
    _run(["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"], folder)
    stamp.write_text(wanted)


def _install_python(folder: Path, tell: Callable[[str], None]) -> None:
    requirements = SCRIPTS / "requirements.txt"
    stamp = folder / "installed"
    if stamp.exists() and stamp.read_text() == requirements.read_text():
        return
    tell("Installing the Python peers")
    _run([sys.executable, "-m", "venv", "--clear", str(folder)], folder.parent)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install", "-q", "--no-deps"]
    _run([*pip, "-r", str(requirements)], folder)
    stamp.write_text(requirements.read_text())


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise TidingsError(f"{' '.join(command[:3])} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


def wait_until(condition: Callable[[], bool], what: str, *, patience: float = 120.0, pause: float = 0.01) -> None:
    """Wait for a condition; raises TidingsError when it does not come true in time."""
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() > deadline:
            raise TidingsError(f"The benchmark waited {patience:.0f} s in vain: {what}.")
        time.sleep(pause)
