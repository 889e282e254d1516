"""The server that rehearsals of a home share: it runs as long as one of them needs it."""

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from runtime.postgres.server import PostgresServer


@contextmanager
def scratch_server(folder: Path, progress: Callable[[str], None]) -> Iterator[PostgresServer]:
    """Yield the running scratch server of a folder, set up on first use; whoever is last stops it.

    Its files stay, so that the next rehearsal starts at once; `tidings uninstall` deletes them.
    """
    server = PostgresServer(folder, scratch=True)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "users").open("w") as users:
        fcntl.flock(users, fcntl.LOCK_SH)
        server.start(progress)
        try:
            yield server
        finally:
            with suppress(BlockingIOError):  # others still use it, and hold the lock
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                server.stop()
