"""When a long-running process ends: by a signal, or when the process that started it is gone."""

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType

_STDIN = 0
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Ctrl-C, a plain kill, and a terminal that is closed."""


def interrupted_by_signals() -> None:
    """Let every ending signal raise KeyboardInterrupt, as Ctrl-C does: for work that may be left at any point."""
    _handle(signal.default_int_handler)


def until_stopped(*, attached: bool = False) -> threading.Event:
    """Return an event that an ending signal sets; with `attached`, also the end of standard input.

    A process that `tidings up` starts is attached: when its parent dies, even by kill -9, the pipe between them closes.
    While somebody cleans up, the event that nobody looks at keeps a second Ctrl-C from disturbing it.
    """
    stop = threading.Event()

    def ask_to_stop(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    _handle(ask_to_stop)
    if attached:
        threading.Thread(target=_wait_for_end, args=(stop,), daemon=True, name="parent").start()
    return stop


def log_to_stderr(*, verbose: bool) -> None:
    """Write log lines for people: everything worth a look, or with `verbose` every change of state."""
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.INFO if verbose else logging.WARNING,
        format="%(asctime)s %(levelname).1s %(message)s",
        datefmt="%H:%M:%S",
    )
    for noisy in ("dramatiq", "pika", "httpx", "uvicorn", "mcp"):
        logging.getLogger(noisy).setLevel(logging.WARNING if verbose else logging.ERROR)


def _handle(handler: Callable[[int, FrameType | None], object]) -> None:
    for number in _ENDING:
        if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:  # nohup has it ignored
            signal.signal(number, handler)


def _wait_for_end(stop: threading.Event) -> None:
    while os.read(_STDIN, 1024):
        pass
    stop.set()
