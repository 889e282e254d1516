"""A person at a terminal: runs the command line in a pseudo-terminal and answers its questions."""

import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

_ROOT = Path(__file__).parents[1]
_PROGRAM = "from cli.main import main; main()"
_SECONDS = 30.0
_COLOURS = re.compile(r"\x1b\[(?:0|1|2|22|3\d)m")
"""The colours and weights that commands use; any other sequence stays to be seen."""


class Said(NamedTuple):
    """How a command ended, and everything the person saw, without colours."""

    code: int
    output: str


def at_terminal(
    *arguments: str, answers: Sequence[str] = (), question: str = "[y/N]", seconds: float = _SECONDS
) -> Said:
    """Run `tidings …` as a person would; each question that ends in [y/N], or as told, gets the next answer."""
    mine, theirs = pty.openpty()
    command = [sys.executable, "-c", _PROGRAM, *arguments]
    with subprocess.Popen(command, cwd=_ROOT, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        shown = _talk(mine, process, list(answers), question.encode(), seconds)
        code = process.wait(timeout=5)
    os.close(mine)
    return Said(code, _COLOURS.sub("", shown.decode().replace("\r\n", "\n")))


def _talk(
    terminal: int, process: subprocess.Popen[bytes], answers: list[str], question: bytes, seconds: float
) -> bytes:
    """Read until the command closes its side, answering on the way."""
    shown, answered, deadline = b"", 0, time.monotonic() + seconds
    while True:
        if not select.select([terminal], [], [], max(0.0, deadline - time.monotonic()))[0]:
            process.kill()
            raise TimeoutError(f"the command still waits after {seconds:.0f} s: {shown.decode()}")
        try:
            part = os.read(terminal, 65_536)
        except OSError:  # Linux: nobody has the other side open any more
            return shown
        if not part:
            return shown
        shown += part
        if shown.count(question) > answered:
            os.write(terminal, answers[answered].encode() + b"\n" if answered < len(answers) else b"\x04")
            answered += 1
