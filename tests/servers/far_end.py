"""What the local HTTP services have in common: they answer by their contract, until they are told to misbehave.

A fault is for the next request; several are taken one after the other. No test waits for a clock: what hangs, hangs
until the client gives up, the test says `release()`, or the server is closed.
"""

import json
import socket
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

_LONGEST_HANG = 30.0


@dataclass(frozen=True)
class Request:
    """A request as it arrived."""

    method: str
    path: str
    headers: Mapping[str, str]
    """By lower-case name."""
    body: bytes


@dataclass(frozen=True)
class Answer:
    """What the service says."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Fault:
    """How one request is mistreated."""

    answer: Answer | None = None
    """What is said instead of the right answer."""
    takes: bool = False
    """Whether the request is carried out all the same."""
    silence: str = ""
    """hang or close: instead of any answer."""
    gate: threading.Event | None = None
    """Carried out rightly, but only when this is set."""


def answer_json(status: int, body: Any, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, json.dumps(body).encode(), {"content-type": "application/json; charset=utf-8", **named})


def html(status: int = 502) -> Fault:
    """A proxy's error page."""
    return Fault(Answer(status, b"<html><h1>Bad gateway</h1></html>", {"content-type": "text/html"}))


def garbage(*, takes: bool = False) -> Fault:
    """JSON by its name only, with status 200."""
    return Fault(Answer(200, b'{"data": [', {"content-type": "application/json"}), takes=takes)


def hang(*, takes: bool = False) -> Fault:
    """No answer, ever."""
    return Fault(takes=takes, silence="hang")


def close(*, takes: bool = False) -> Fault:
    """The connection is closed without an answer."""
    return Fault(takes=takes, silence="close")


def slow(gate: threading.Event) -> Fault:
    """The right answer, once the gate is opened."""
    return Fault(gate=gate)


class FarEnd:
    """A service on this machine; a context manager."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        """Everything that arrived, whatever became of it."""
        self.connections = 0
        self.broken: list[BaseException] = []
        """What went wrong in the service itself."""
        self.mood: Callable[[], Fault] = Fault
        """How a request is treated for which no fault was ordered."""
        self.witness: Callable[[Mapping[str, Any]], object] = dict
        """Told of each message the moment it is taken: provider, key, to, said; or of what must not be: altered."""
        self._faults: deque[Fault] = deque()
        self._released = threading.Event()
        self._sockets: list[socket.socket] = []
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.far_end = self

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def misbehave(self, *faults: Fault) -> None:
        """Mistreat the next requests, one fault each."""
        self._faults.extend(faults)

    def release(self) -> None:
        """Let go of everything that hangs."""
        self._released.set()

    def respond(self, request: Request, gate: threading.Event | None) -> Answer:
        """Carry out a request by the contract; where there is a gate, in the middle of it."""
        raise NotImplementedError

    def handle(self, request: Request) -> Answer | None:
        """Return what to answer, or None to close the connection."""
        self.requests.append(request)
        fault = self._faults.popleft() if self._faults else self.mood()
        right = None
        if fault.takes or not (fault.answer or fault.silence):
            right = self.respond(request, fault.gate)
        if fault.silence == "hang":
            self._released.wait(_LONGEST_HANG)
        return None if fault.silence else fault.answer or right

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.release()
        self._server.shutdown()
        for connection in self._sockets:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        self._server.server_close()
        if self.broken and error is None:
            raise self.broken[0]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    far_end: FarEnd

    def handle_error(self, *_: Any) -> None:
        """Say nothing of clients that hang up, for that is tested; a mistake in the service is told at the end."""
        error = sys.exc_info()[1]
        if error is not None and not isinstance(error, OSError):
            self.far_end.broken.append(error)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.server.far_end.connections += 1
        self.server.far_end._sockets.append(self.connection)

    def do_GET(self) -> None:
        self.do_POST()

    def do_POST(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = self.server.far_end.handle(Request(self.command, self.path, headers, self.rfile.read(length)))
        if answer is None:
            self.close_connection = True
            return
        self.send_response(answer.status)
        for name, value in {**answer.headers, "content-length": str(len(answer.body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # its name there
        """Say nothing."""
