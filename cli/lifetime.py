"""When a long-running process ends: by a signal, or when the process that started it is gone."""

import logging
import os
import signal
import sys
import threading
from types import FrameType

_STDIN = 0


def until_stopped(*, attached: bool) -> threading.Event:
    """Return an event that SIGINT and SIGTERM set; with `attached`, also the end of standard input.

    A process that `tidings up` starts is attached: when its parent dies, even by kill -9, the pipe between them closes.
    """
    stop = threading.Event()

    def ask_to_stop(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGINT, ask_to_stop)
    signal.signal(signal.SIGTERM, ask_to_stop)
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


def _wait_for_end(stop: threading.Event) -> None:
    while os.read(_STDIN, 1024):
        pass
    stop.set()
