"""Our real processes with crash points: `python -m tests.faults.crashing [options] -- dispatch`.

Every commit that wrote something, every request to a provider, and every message to or from the broker is a point,
named by our own calling function and by before or after. A process can record the points it passes, and kill itself at
one, as `kill -9` would. Production code knows nothing of this: psycopg, httpx, urllib, our hand-over to a mail server
and Dramatiq are wrapped here.
"""

import argparse
import inspect
import logging
import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache, wraps
from pathlib import Path
from types import CodeType, FrameType
from typing import Any
from urllib.request import OpenerDirector

import httpx
import psycopg
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from dramatiq.brokers.redis import RedisBroker

import cli.dispatch
import cli.worker
from cli.main import main as command_line
from runtime import clock
from runtime.delivery import smtp_provider
from runtime.delivery.resend_provider import ResendProvider
from runtime.engine import perform
from runtime.ledger.database import Ledger
from runtime.workers.leadership import Leadership
from runtime.workers.postgres_broker import NudgeBroker, NudgeConsumer

_BETWEEN = {"runtime.ledger.database", "runtime.workers.broker", "runtime.workers.postgres_broker"}
"""Modules of ours through which others commit and nudge: the caller's name says more."""
_NEEDLES = {"commit": ("transaction(", "pipelined(", "together("), "enqueue": ("nudge(",)}
"""What stands in the line of a function that has several points of a kind."""
COMMANDS = (cli.dispatch, cli.worker)
"""Imported before the fork, together with everything below them."""


class Watch:
    """Counts how often each point is passed, and ends the process where it was told to."""

    def __init__(self, at: str, turn: int, run: int, record: Path | None) -> None:
        self._at, self._turn, self._run, self._record = at, turn, run, record
        self._passed: Counter[str] = Counter()
        self._lock = threading.Lock()

    def reach(self, point: str, frame: FrameType | None = None) -> None:
        """Pass a point."""
        with self._lock:
            self._passed[point] += 1
            if self._record and self._passed[point] == 1:
                with self._record.open("a") as file:
                    file.write(f"{point}\n")
            mine = point == self._at and self._passed[point] == self._turn
            if mine or (self._run and _holds_run(frame, self._run)):
                os.kill(os.getpid(), signal.SIGKILL)

    @contextmanager
    def around(self, kind: str) -> Iterator[None]:
        """Pass the point before and the point after something that our calling function does."""
        frame = _caller()
        name = _name(frame, kind)
        self.reach(f"{name}:{kind}:before", frame)
        yield
        self.reach(f"{name}:{kind}:after", frame)


def _caller() -> FrameType | None:
    """Return our own function that is being carried out."""
    frame = inspect.currentframe()
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module.startswith("runtime.") and module not in _BETWEEN:
            return frame
        frame = frame.f_back
    return None


def _name(frame: FrameType | None, kind: str) -> str:
    if frame is None:
        return "dramatiq"
    name = f"{frame.f_globals['__name__']}.{frame.f_code.co_qualname}"
    places = _places(frame.f_code, _NEEDLES.get(kind, ()))
    return f"{name}#{sum(line <= frame.f_lineno for line in places)}" if len(places) > 1 else name


@cache
def _places(code: CodeType, needles: tuple[str, ...]) -> list[int]:
    lines, first = inspect.getsourcelines(code)
    return [number for number, line in enumerate(lines, first) if any(needle in line for needle in needles)]


def _holds_run(frame: FrameType | None, run: int) -> bool:
    """Return whether a run is being advanced, among others or alone."""
    if frame is None or frame.f_globals.get("__name__") != "runtime.engine.advance":
        return False
    leased = frame.f_locals.get("leased")
    return leased is not None and run in leased.work.ids


def _wrapped(watch: Watch, owner: Any, method: str, kind: str) -> None:
    """Put the points of a kind around every call of a method."""
    original: Callable[..., Any] = getattr(owner, method)

    @wraps(original)
    def call(*args: Any, **named: Any) -> Any:
        with watch.around(kind):
            return original(*args, **named)

    setattr(owner, method, call)


def _watch_commits(watch: Watch) -> None:
    original = psycopg.Transaction.__exit__

    def leave(self: psycopg.Transaction, kind: Any, error: Any, at: Any) -> bool:
        outermost = self._outer_transaction and not self.force_rollback
        if kind is not None or not outermost or not _has_written(self.connection):
            return original(self, kind, error, at)
        with watch.around("commit"):
            return original(self, kind, error, at)

    psycopg.Transaction.__exit__ = leave  # type: ignore[method-assign]


def _watch_pipelined_commits(watch: Watch) -> None:
    """Put the points around a COMMIT that is a statement: it is over when the pipeline is in step again."""
    execute, sync = psycopg.Connection.execute, psycopg.Pipeline.sync
    under_way = threading.local()

    def execute_watched(self: Any, query: Any, *args: Any, **named: Any) -> Any:
        if query == "COMMIT" and _has_written(self, execute):
            under_way.commit = watch.around("commit")
            under_way.commit.__enter__()
        return execute(self, query, *args, **named)

    def sync_watched(self: psycopg.Pipeline) -> None:
        sync(self)
        commit, under_way.commit = getattr(under_way, "commit", None), None
        if commit is not None:
            commit.__exit__(None, None, None)

    psycopg.Connection.execute = execute_watched  # type: ignore[method-assign]
    psycopg.Pipeline.sync = sync_watched  # type: ignore[method-assign]


def _watch_commits_of_several(watch: Watch) -> None:
    """Put the points around the end of a pipeline whose statements are one transaction without saying so."""
    original = Ledger.together

    @contextmanager
    def together(self: Ledger) -> Iterator[psycopg.Connection[Any]]:
        with ExitStack() as afterwards, original(self) as conn:
            yield conn
            if _has_written(conn):
                afterwards.enter_context(watch.around("commit"))

    Ledger.together = together  # type: ignore[method-assign]


def _has_written(conn: Any, execute: Callable[..., Any] = psycopg.Connection.execute) -> bool:
    row = execute(conn, "SELECT pg_current_xact_id_if_assigned() IS NOT NULL").fetchone()
    return bool(row and row[0])


def _watch_the_queue(watch: Watch) -> None:
    """Put the points around sending nudges, and around taking some off the queue, which forgets them then."""
    _wrapped(watch, NudgeBroker, "enqueue_all", "enqueue")
    for broker in (RabbitmqBroker, RedisBroker):
        _wrapped(watch, broker, "enqueue", "enqueue")
    original = NudgeConsumer._take

    def take(self: NudgeConsumer) -> None:
        watch.reach("dramatiq:take:before")
        original(self)
        if self._taken:
            watch.reach("dramatiq:take:after")

    NudgeConsumer._take = take  # type: ignore[method-assign]


def _watch_mail(watch: Watch) -> None:
    """Put the points around the one moment that matters in SMTP: from the data to the answer."""
    original = smtp_provider.SmtpProvider._hand_over

    def hand_over(self: smtp_provider.SmtpProvider, connection: Any, data: bytes) -> str:
        watch.reach("runtime.delivery.smtp_provider.SmtpProvider._hand_over:call:before")
        answer = original(self, connection, data)
        watch.reach("runtime.delivery.smtp_provider.SmtpProvider._hand_over:call:after")
        return answer

    smtp_provider.SmtpProvider._hand_over = hand_over  # type: ignore[method-assign]


def _misled(options: argparse.Namespace) -> None:
    """Make the process one that is wrong about the world."""
    if options.clock:
        shift = timedelta(seconds=options.clock)
        clock.SystemClock.now = lambda self: datetime.now(UTC) + shift  # type: ignore[method-assign]  # noqa: ARG005
    if options.leads:
        Leadership.won = property(lambda _: True, lambda *_: None)  # type: ignore[assignment]
    perform.KINDS = tuple(  # type: ignore[assignment]
        kind for kind in perform.KINDS if kind not in options.ignorant_of
    )
    if options.impatient and ResendProvider.__init__.__kwdefaults__:
        ResendProvider.__init__.__kwdefaults__["timeout"] = timedelta(seconds=1)


def run(arguments: Sequence[str]) -> None:
    """Run one of our commands in this process; returns when it is stopped."""
    parser = argparse.ArgumentParser(prog="tests.faults.crashing", description=__doc__)
    parser.add_argument("--at", default="", help="the point at which to die")
    parser.add_argument("--turn", type=int, default=1, help="at which pass of it")
    parser.add_argument("--run", type=int, default=0, help="die over this run, whenever it is in hand")
    parser.add_argument("--record", type=Path, help="a file for the points that are passed")
    parser.add_argument("--clock", type=float, default=0.0, help="seconds by which the machine's clock is wrong")
    parser.add_argument("--ignorant-of", action="append", default=[], help="a kind of work that it never heard of")
    parser.add_argument("--leads", action="store_true", help="believe to lead, whoever else does")
    parser.add_argument("--impatient", action="store_true", help="give up on Resend after a second")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args(arguments)
    watch = Watch(options.at, options.turn, options.run, options.record)
    _watch_commits(watch)
    _watch_pipelined_commits(watch)
    _watch_commits_of_several(watch)
    _watch_mail(watch)
    _wrapped(watch, httpx.Client, "send", "call")
    _wrapped(watch, OpenerDirector, "open", "call")
    _watch_the_queue(watch)
    _misled(options)
    logging.captureWarnings(capture=True)
    command_line(options.command)


if __name__ == "__main__":
    run(sys.argv[1:])
