"""What a peer's script tells the benchmark, one JSON object a line; and how it sends a mail."""

import asyncio
import http.client
import json
import os
import sys
import threading
import time
from urllib.parse import urlsplit

_done = 0
_lock = threading.Lock()


def count() -> None:
    """Note that a job is done."""
    global _done  # noqa: PLW0603  # one number of a small script
    with _lock:
        _done += 1


def ready() -> None:
    """Say that jobs are taken; from now on tell how many are done, until the input ends."""
    print(json.dumps({"ready": True}), flush=True)
    threading.Thread(target=_tell, daemon=True).start()
    threading.Thread(target=_leave, daemon=True).start()


def _tell() -> None:
    told = 0
    while True:
        if told != _done:
            told = _done
            print(json.dumps({"done": told}), flush=True)
        time.sleep(0.02)


def _leave() -> None:
    while os.read(sys.stdin.fileno(), 1024):
        pass
    os._exit(0)


def _body(subject: str) -> bytes:
    mail = {"from": "Shop <shop@shop.test>", "to": ["one@shop.test"], "subject": subject, "html": "It left."}
    return json.dumps([mail]).encode()


class SyncSender:
    """Sends mails, on one kept connection for each thread."""

    def __init__(self, url: str) -> None:
        self._netloc = urlsplit(url).netloc
        self._local = threading.local()

    def send(self, key: str, subject: str) -> None:
        """Send a mail; raises if it is not taken."""
        if not hasattr(self._local, "connection"):
            self._local.connection = http.client.HTTPConnection(self._netloc)
        connection: http.client.HTTPConnection = self._local.connection
        headers = {"Content-Type": "application/json", "Authorization": "Bearer re_bench", "Idempotency-Key": key}
        connection.request("POST", "/emails/batch", _body(subject), headers)
        response = connection.getresponse()
        if json.loads(response.read())["data"] == []:
            raise RuntimeError("the mail was not taken")


class AsyncSender:
    """Sends mails, on connections that are kept."""

    def __init__(self, url: str) -> None:
        self._host = urlsplit(url)
        self._free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def send(self, key: str, subject: str) -> None:
        """Send a mail; raises if it is not taken."""
        if self._free:
            reader, writer = self._free.pop()
        else:
            reader, writer = await asyncio.open_connection(self._host.hostname, self._host.port)
        body = _body(subject)
        head = (
            f"POST /emails/batch HTTP/1.1\r\nHost: {self._host.netloc}\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer re_bench\r\nIdempotency-Key: {key}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        length = int(answer.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        if json.loads(await reader.readexactly(length))["data"] == []:
            raise RuntimeError("the mail was not taken")
        self._free.append((reader, writer))
