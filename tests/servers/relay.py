"""A relay: whatever comes to a port goes on to another, and what is said there comes back."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress


def _unchanged(data: bytes) -> bytes:
    return data


@contextmanager
def relay(port: int, *, at: str = "127.0.0.1", passing: Callable[[bytes], bytes] = _unchanged) -> Iterator[int]:
    """Yield the port at an address from which everything goes on to a port of loopback, changed by `passing`."""
    with socket.create_server((at, 0)) as listener:
        threading.Thread(target=_accept, args=(listener, port, passing), daemon=True).start()
        yield int(listener.getsockname()[1])


def _accept(listener: socket.socket, port: int, passing: Callable[[bytes], bytes]) -> None:
    with suppress(OSError):  # the listener is closed at the end
        while True:
            client, _ = listener.accept()
            server = socket.create_connection(("127.0.0.1", port))
            for source, target in ((client, server), (server, client)):
                threading.Thread(target=_pass_on, args=(source, target, passing), daemon=True).start()


def _pass_on(source: socket.socket, target: socket.socket, passing: Callable[[bytes], bytes]) -> None:
    with suppress(OSError), source, target:
        while data := source.recv(65536):
            target.sendall(passing(data))
