"""The processes of `tidings up`: started together, restarted when one dies, gone when the parent is gone."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Self

_STOP_SECONDS = 25.0
_WATCH_SECONDS = 0.2
_LONGEST_PAUSE = 30.0
_STEADY_SECONDS = 60.0


@dataclass
class Child:
    """One process of ours and how often it died lately."""

    name: str
    arguments: tuple[str, ...]
    process: subprocess.Popen[bytes]
    started: float
    deaths: int = 0
    restart_at: float | None = None


@dataclass
class Processes:
    """Commands of `tidings`, each a process of its own. Leaving the context stops them all."""

    tell: Callable[[str], None]
    environment: Mapping[str, str]
    children: list[Child] = field(default_factory=list)
    _starter: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1))

    def start(self, name: str, *arguments: str) -> None:
        """Start `tidings <arguments> --attached`.

        It is done in a thread, which no Ctrl-C interrupts: a process that was started is known, and will be stopped.
        """
        self._starter.submit(self._add, name, arguments).result()

    def watch(self, stop: threading.Event) -> None:
        """Restart what dies, ever more slowly when it keeps dying, until `stop` is set."""
        while not stop.wait(_WATCH_SECONDS):
            for child in self.children:
                self._look_after(child, time.monotonic())

    def stop(self) -> None:
        """Ask every process to end, wait, and kill what does not."""
        self._starter.shutdown(wait=True)
        for child in self.children:
            _close(child.process)
        deadline = time.monotonic() + _STOP_SECONDS
        for child in self.children:
            try:
                child.process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                self.tell(f"The {child.name} does not stop; killing it (nothing is lost)")
                child.process.kill()
                child.process.wait()

    def __enter__(self) -> Self:
        """Return itself, with the thread that starts processes running: from then on handing it work is atomic."""
        self._starter.submit(int).result()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop all."""
        self.stop()

    def _add(self, name: str, arguments: tuple[str, ...]) -> None:
        self.children.append(Child(name, arguments, self._spawn(arguments), time.monotonic()))

    def _look_after(self, child: Child, now: float) -> None:
        code = child.process.poll()
        if code is None:
            return
        if child.restart_at is None:
            child.deaths = 1 if now - child.started > _STEADY_SECONDS else child.deaths + 1
            pause = min(_LONGEST_PAUSE, 0.5 * 2 ** (child.deaths - 1))
            child.restart_at = now + pause
            self.tell(f"The {child.name} ended with {code}; starting it again in {pause:.1f} s")
        elif now >= child.restart_at:
            _close(child.process)
            child.process, child.started, child.restart_at = self._spawn(child.arguments), now, None

    def _spawn(self, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
        """Start one in a session of its own: Ctrl-C reaches the parent alone, which then stops them in order."""
        command = [sys.executable, "-m", "cli", *arguments, "--attached"]
        return subprocess.Popen(  # noqa: S603  # our own commands
            command, stdin=subprocess.PIPE, start_new_session=True, env=dict(self.environment)
        )


def _close(process: subprocess.Popen[bytes]) -> None:
    """Close the pipe that says that we are there."""
    if process.stdin is not None and not process.stdin.closed:
        process.stdin.close()
