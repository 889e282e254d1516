"""A person at a terminal who reads what a long-running command prints, answers, and presses Ctrl-C."""

import os
import pty
import re
import select
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

_SEES_NOTHING_HAPPEN = 8.0
_CONTROLS = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


class Person:
    """Runs a command in a pseudo-terminal of its own; a context manager that leaves nothing running."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._mine, theirs = pty.openpty()
        self.process = subprocess.Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, env=dict(environment), start_new_session=True
        )
        os.close(theirs)
        self._seen = ""
        self._read_to = 0

    @property
    def screen(self) -> str:
        """Everything printed so far, without colours."""
        return _CONTROLS.sub("", self._seen).replace("\r\n", "\n")

    def expect(self, text: str, *, seconds: float) -> None:
        """Read on until a text appears after what was expected before."""
        deadline = time.monotonic() + seconds
        while (place := self.screen.find(text, self._read_to)) < 0:
            assert time.monotonic() < deadline, f"{text!r} did not appear in {seconds:.0f} s:\n{self.screen}"
            if select.select([self._mine], [], [], 0.2)[0]:
                try:
                    self._seen += os.read(self._mine, 65_536).decode(errors="replace")
                except OSError as error:
                    raise AssertionError(f"the command ended before {text!r}:\n{self.screen}") from error
        self._read_to = place + len(text)

    def press(self, keys: str) -> None:
        """Type something."""
        os.write(self._mine, keys.encode())

    def interrupt(self, *, seconds: float) -> int:
        """Press Ctrl-C and return how the command ended.

        A test reads faster than a person: when it comes in the instant between a question and Python's reading of the
        answer, Python notices it only with the next key. Who sees nothing happen presses again.
        """
        self.process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            return self.process.wait(_SEES_NOTHING_HAPPEN)
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._mine)
