"""Which processes a command left behind, told by the home they were started for."""

import os
from pathlib import Path


def environment_of(home: Path, **more: str) -> dict[str, str]:
    """Return an environment for commands with that home, without settings of whoever runs the tests."""
    keep = {key: value for key, value in os.environ.items() if not key.startswith(("TIDINGS_", "ANTHROPIC_"))}
    return {**keep, "TIDINGS_HOME": str(home), "COLUMNS": "120", **more}


def processes_of(home: Path) -> list[str]:
    """Return the command lines of processes that were started for a home, Postgres' own among them."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            environ = (folder / "environ").read_bytes()
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            where = str((folder / "cwd").readlink())
        except OSError:
            continue
        if str(home).encode() in environ or where.startswith(str(home)):
            found.append(command)
    return found
