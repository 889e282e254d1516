"""The far end of every variant: takes mails as Resend's batch interface does, counts them, and says when each came.

Lean on purpose, for it shares the processors with what is measured: it parses every request's head, looks into the
shape of the first requests and of every 50th later on, and counts the others' mails by their `to`.
"""

import asyncio
import json
import re
import sys
import threading
import time
from dataclasses import asdict, dataclass, field
from http.client import HTTPConnection
from subprocess import PIPE, Popen
from typing import Any, Self

API_KEY = "re_bench"
_TO = re.compile(rb'"to": ?\[')
_ORDER = re.compile(rb'"subject": ?"Order (\d+)')
_LENGTH = re.compile(rb"\r\ncontent-length: ?(\d+)", re.IGNORECASE)
_LOOKED_AT, _EVERY = 20, 50


@dataclass
class Taken:
    """What came so far."""

    mails: int = 0
    requests: int = 0
    bytes: int = 0
    bad: int = 0
    arrivals: dict[int, int] = field(default_factory=dict)
    """Order → nanoseconds on the machine's monotonic clock, of the first mail about it."""


class Sink:
    """The sink as a process of its own; leaving the context ends it."""

    def __init__(self) -> None:
        self._process = Popen([sys.executable, "-m", "bench.sink"], stdin=PIPE, stdout=PIPE, text=True, process_group=0)
        self.port = int(self._process.stdout.readline() if self._process.stdout else 0)
        self.url = f"http://127.0.0.1:{self.port}"

    def taken(self) -> Taken:
        """Return the counts, without arrivals."""
        return Taken(**self._ask("/count"))

    def arrivals(self) -> dict[int, int]:
        """Return when the first mail about each order came."""
        return {int(order): when for order, when in self._ask("/arrivals").items()}

    def sample(self) -> dict[str, Any]:
        """Return one of the mails that came last."""
        return self._ask("/sample")

    def reset(self) -> None:
        """Forget everything."""
        self._ask("/reset")

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the process."""
        if self._process.stdin and self._process.stdout:
            self._process.stdin.close()
            self._process.stdout.close()
        self._process.wait(10)

    def _ask(self, path: str) -> dict[str, Any]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("GET", path)
        answer: dict[str, Any] = json.loads(connection.getresponse().read())
        connection.close()
        return answer


class _Server:
    """What all connections share."""

    def __init__(self) -> None:
        self.taken = Taken()
        self._last = b"[{}]"

    def answer(self, head: bytes, body: bytes) -> bytes:
        path = head.split(b" ", 2)[1]
        if path == b"/emails/batch":
            return self._take(body)
        if path == b"/count":
            return json.dumps(asdict(self.taken) | {"arrivals": {}}).encode()
        if path == b"/arrivals":
            return json.dumps(self.taken.arrivals).encode()
        if path == b"/sample":
            return json.dumps(json.loads(self._last)[0]).encode()
        if path == b"/reset":
            self.taken = Taken()
        else:
            self.taken.requests += 1
        return b"{}"

    def _take(self, body: bytes) -> bytes:
        now, taken = time.monotonic_ns(), self.taken
        count = len(_TO.findall(body))
        self._last = body
        if taken.requests < _LOOKED_AT or taken.requests % _EVERY == 0:
            taken.bad += not _is_batch(body, count)
        first = taken.mails
        taken.mails += count
        taken.requests += 1
        taken.bytes += len(body)
        for order in _ORDER.findall(body):
            taken.arrivals.setdefault(int(order), now)
        ids = ",".join([f'{{"id":"{first + number}"}}' for number in range(count)])
        return f'{{"data":[{ids}]}}'.encode()


def _is_batch(body: bytes, count: int) -> bool:
    mails = json.loads(body)
    return len(mails) == count <= 100 and all(  # noqa: PLR2004  # the provider's limit
        mail["from"] and len(mail["to"]) == 1 and mail["subject"] and (mail.get("html") or mail.get("text"))
        for mail in mails
    )


class _Connection(asyncio.Protocol):
    """One connection; requests on it come one after another."""

    def __init__(self, server: _Server) -> None:
        self._server = server
        self._received = bytearray()
        self._needed = 0
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # a stream's can be written to

    def data_received(self, data: bytes) -> None:
        self._received += data
        while len(self._received) > self._needed and self._one():
            pass

    def _one(self) -> bool:
        """Answer one request, if all of it is there."""
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return False
        head = bytes(self._received[:end])
        found = _LENGTH.search(head)
        total = end + 4 + (int(found[1]) if found else 0)
        if len(self._received) < total:
            self._needed = total - 1
            return False
        body = bytes(self._received[end + 4 : total])
        del self._received[:total]
        self._needed = 0
        answer = self._server.answer(head, body)
        if self._transport:
            length = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(answer)}\r\n\r\n"
            self._transport.write(length.encode() + answer)
        return True


async def _serve() -> None:
    shared, loop = _Server(), asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(shared), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    done = asyncio.Event()

    def wait_for_end() -> None:
        sys.stdin.read()
        loop.call_soon_threadsafe(done.set)

    threading.Thread(target=wait_for_end, daemon=True).start()
    await done.wait()


if __name__ == "__main__":
    asyncio.run(_serve())
