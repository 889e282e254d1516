"""Starts our real processes as forks of one that has everything imported: a start takes milliseconds, not a second.

Each child runs the command line as `tidings` would, and is killed like any process. All of them end with the nursery,
and the nursery ends with whoever started it.
"""

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self

_ROOT = Path(__file__).parents[2]
_PR_SET_PDEATHSIG = 1
_STDERR = 2


class Nursery:
    """The test's side; a context manager. Not for several threads at once."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.nursery"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=_ROOT
        )
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._process.stdin:
            self._process.stdin.close()
        self._process.wait(10)
        if self._process.stdout:
            self._process.stdout.close()

    def start(self, arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> "Child":
        """Start `python -m tests.faults.crashing` with these arguments; what it writes goes to the log."""
        answer = self._ask({"start": list(arguments), "environment": dict(environment), "log": str(log)})
        return Child(int(answer), self)

    def status(self, pid: int) -> int | None:
        """Return the exit code of a child, negative for a signal, or None while it runs."""
        answer = self._ask({"poll": pid})
        return None if answer is None else int(answer)

    def _ask(self, what: Mapping[str, Any]) -> Any:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps(what).encode() + b"\n")
        stdin.flush()
        return json.loads(stdout.readline())


@dataclass
class Child:
    """A process that was started there, to be handled like a Popen."""

    pid: int
    nursery: Nursery
    returncode: int | None = None
    stdin: None = None

    def poll(self) -> int | None:
        """Return the exit code, or None while it runs."""
        if self.returncode is None:
            self.returncode = self.nursery.status(self.pid)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, if it still runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def wait(self, timeout: float) -> int:
        """Return the exit code when it has ended."""
        deadline = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
            time.sleep(0.005)
        return code


def _serve() -> None:
    """Fork a child for each line that asks for one, and say how others fare, until standard input ends."""
    from tests.faults import crashing  # noqa: PLC0415  # takes a second, and is for this side only

    ended: dict[int, int] = {}
    for line in sys.stdin:
        asked = json.loads(line)
        if "poll" in asked:
            answer = _reap(asked["poll"], ended)
        else:
            answer = os.fork()
            if answer == 0:
                _live(asked, crashing.run)
        print(json.dumps(answer), flush=True)  # noqa: T201


def _reap(pid: int, ended: dict[int, int]) -> int | None:
    if pid not in ended:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            ended[pid] = os.waitstatus_to_exitcode(status)
    return ended.get(pid)


def _live(asked: Mapping[str, Any], run: Callable[[list[str]], object]) -> NoReturn:
    """Be a process of its own from here on."""
    code = 1
    try:
        _move_out(asked)
        run(asked["start"])
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except BaseException:  # noqa: BLE001  # the process's top: its parent's loop must not go on here
        traceback.print_exc()
    finally:
        os._exit(code)


def _move_out(asked: Mapping[str, Any]) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    log = os.open(asked["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.dup2(log, 1)
    os.dup2(log, _STDERR)
    os.environ.clear()
    os.environ.update(asked["environment"])


if __name__ == "__main__":
    _serve()
