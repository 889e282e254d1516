"""A connection pooler as a client sees it: it passes everything on, but invents the number to cancel queries with."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_KEY = b"K\x00\x00\x00\x0c"
INVENTED = (424242).to_bytes(4, "big")


@contextmanager
def pooler(port: int) -> Iterator[int]:
    """Yield the port of a pooler in session mode in front of a local Postgres."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_accept, args=(listener, port), daemon=True).start()
        yield int(listener.getsockname()[1])


def _accept(listener: socket.socket, port: int) -> None:
    with suppress(OSError):  # the listener is closed at the end
        while True:
            client, _ = listener.accept()
            server = socket.create_connection(("127.0.0.1", port))
            for source, target in ((client, server), (server, client)):
                threading.Thread(target=_pass_on, args=(source, target), daemon=True).start()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError), source, target:
        while data := source.recv(65536):
            before, key, after = data.partition(_KEY)
            target.sendall(before + key + INVENTED + after[4:] if key else data)
