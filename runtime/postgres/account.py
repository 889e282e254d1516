"""Postgres refuses to run as root. This finds an unprivileged account for it and runs commands as that account."""

import ctypes
import os
import pwd
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from runtime.errors import TidingsError

CAP_DAC_OVERRIDE = 1
_NEEDED = {"CHOWN": 0, "SETGID": 6, "SETUID": 7}
_VERSION_3 = 0x20080522
_PR_SET_KEEPCAPS, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE = 8, 47, 2


@dataclass(frozen=True)
class Account:
    """Who a Postgres server runs as."""

    uid: int
    gid: int
    name: str

    def run(self, command: Sequence[str], *, cwd: Path, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a command as this account and return what it printed; never raises on a non-zero exit."""
        return subprocess.run(  # noqa: S603  # our own binaries; one thread at start-up
            list(command),
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            env={"PATH": os.defpath, "LC_ALL": "C.UTF-8", "TZ": "UTC"},
            preexec_fn=self._become if os.geteuid() == 0 else None,
        )

    def _become(self) -> None:
        """Drop root, keeping only the right to walk through closed parent folders such as /root."""
        become(self.uid, self.gid)


def unprivileged() -> Account:
    """Return the current account, or for root `postgres` if it exists, else `nobody`."""
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid(), name_of(os.geteuid()))
    refuse_without_capabilities(Path("/proc/self/status"))
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid, entry.pw_name)
    return Account(65534, 65534, "65534")


def name_of(uid: int) -> str:
    """Return a user's name; refuse one without, as initdb would: a container started with --user and any number."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError as error:
        raise TidingsError(
            f"Postgres can't run as user {uid}, who has no name here. Start the container as a user it knows "
            "(--user nobody), or give DATABASE_URL a Postgres that runs already."
        ) from error


def refuse_without_capabilities(status: Path) -> None:
    """Refuse, with what to do, where root may not become somebody else: containers started with --cap-drop."""
    if not status.exists():
        return
    line = next(line for line in status.read_text().splitlines() if line.startswith("CapEff:"))
    effective = int(line.split()[1], 16)
    missing = [name for name, bit in _NEEDED.items() if not effective >> bit & 1]
    if missing:
        raise TidingsError(
            f"Postgres can't run as root, and this root may not become another user: it lacks {', '.join(missing)}. "
            f"Start the container with {' '.join(f'--cap-add {name}' for name in missing)}, or as a user it knows "
            "(--user nobody), or give DATABASE_URL a Postgres that runs already."
        )


def become(uid: int, gid: int, libc: Callable[[], ctypes.CDLL] = lambda: ctypes.CDLL(None, use_errno=True)) -> None:
    """Become an account for good. Capabilities are best effort: without them closed parent folders stay closed."""
    system = libc()
    system.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0)
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    mask = 1 << CAP_DAC_OVERRIDE
    header = (ctypes.c_uint32 * 2)(_VERSION_3, 0)
    data = (ctypes.c_uint32 * 6)(mask, mask, mask, 0, 0, 0)
    if system.capset(header, data) == 0:
        system.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, CAP_DAC_OVERRIDE, 0, 0)
