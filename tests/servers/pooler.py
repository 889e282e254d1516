"""Connection poolers as a client sees them: they pass everything on, but invent the number to cancel queries with."""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg

from tests.servers.relay import relay

_KEY = b"K\x00\x00\x00\x0c"
INVENTED = (424242).to_bytes(4, "big")


@contextmanager
def pooler(port: int) -> Iterator[int]:
    """Yield the port of a pooler in session mode in front of a local Postgres."""
    with relay(port, passing=_with_invented_key) as passed:
        yield passed


def _with_invented_key(data: bytes) -> bytes:
    before, key, after = data.partition(_KEY)
    return before + key + INVENTED + after[4:] if key else data


@contextmanager
def transaction_pooler(url: str) -> Iterator[str]:
    """Yield the URL of a pooler in transaction mode: its clients take turns on one session of the server.

    A client has the session from its first message until the server says that no transaction is open.
    """
    server = psycopg.connect(url)  # logs in; from here on its socket is the pooler's
    session = socket.socket(fileno=os.dup(server.fileno()))
    session.setblocking(True)
    turns = threading.Lock()
    try:
        with session, socket.create_server(("127.0.0.1", 0)) as listener:
            threading.Thread(target=_take_in, args=(listener, session, turns), daemon=True).start()
            yield psycopg.conninfo.make_conninfo(url, port=listener.getsockname()[1], sslmode="disable")
    finally:
        server.close()


def _take_in(listener: socket.socket, session: socket.socket, turns: threading.Lock) -> None:
    with suppress(OSError):  # the listener is closed at the end
        while True:
            client, _ = listener.accept()
            threading.Thread(target=_serve, args=(client, session, turns), daemon=True).start()


def _serve(client: socket.socket, session: socket.socket, turns: threading.Lock) -> None:
    with suppress(OSError, EOFError), client:
        _exactly(client, int.from_bytes(_exactly(client, 4), "big") - 4)  # who it is does not matter here
        settings = {"server_encoding": "UTF8", "client_encoding": "UTF8", "standard_conforming_strings": "on"}
        settings |= {"server_version": "15.0", "DateStyle": "ISO, MDY", "integer_datetimes": "on", "TimeZone": "UTC"}
        said = [_message(b"S", f"{name}\0{value}\0".encode()) for name, value in settings.items()]
        welcome = [_message(b"R", bytes(4)), *said, _message(b"K", bytes(4) + INVENTED), _message(b"Z", b"I")]
        client.sendall(b"".join(welcome))
        while (first := _receive(client))[:1] != b"X":
            with turns:
                _one_transaction(client, session, first)


def _one_transaction(client: socket.socket, session: socket.socket, message: bytes) -> None:
    """Pass on what the client asks and what the server answers, until no transaction is open."""
    while True:
        session.sendall(message)
        while message[:1] not in b"QS":  # a query, or the end of a group of messages
            message = _receive(client)
            session.sendall(message)
        answer = b""
        while answer[:1] != b"Z":
            answer = _receive(session)
            client.sendall(answer)
        if answer[-1:] == b"I":
            return
        message = _receive(client)


def _receive(source: socket.socket) -> bytes:
    head = _exactly(source, 5)
    return head + _exactly(source, int.from_bytes(head[1:], "big") - 4)


def _exactly(source: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = source.recv(size - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + (len(body) + 4).to_bytes(4, "big") + body
