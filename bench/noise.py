"""Who else used the processors: a measurement beside which others worked is marked, since it says little."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

LOUD = 0.10
"""Cores that others may use; above that a measurement is noisy."""
_TICKS = os.sysconf("SC_CLK_TCK")
_KERNEL = 2
"""The process whose children are the kernel's threads: what they do, they do for us as well."""


@dataclass
class Noise:
    """What others used during a measurement."""

    cores: float = 0.0

    @property
    def loud(self) -> bool:
        """Return whether the measurement should not count."""
        return self.cores > LOUD


@contextmanager
def listening(postmaster: int) -> Iterator[Noise]:
    """Yield a Noise that is filled at the end: processor time stolen from this machine, or used by others on it.

    Ours are this process and the Postgres server, with everything that came from them.
    """
    noise, began = Noise(), time.monotonic()
    stolen, before = _stolen(), _used({os.getpid(), postmaster})
    try:
        yield noise
    finally:
        foreign = max(0, _used({os.getpid(), postmaster}) - before)
        noise.cores = (foreign + _stolen() - stolen) / _TICKS / max(0.001, time.monotonic() - began)


def ticks_of(root: int) -> int:
    """Return the processor time, in ticks, that a process and everything that came from it has used so far."""
    table = _processes()
    family = _family(table, {root})
    return sum(process.ticks for pid, process in table.items() if pid in family)


def seconds(ticks: float) -> float:
    """Return ticks as seconds."""
    return ticks / _TICKS


@dataclass(frozen=True)
class _Process:
    parent: int
    ticks: int
    """Its own, and that of its children that are gone."""


def _used(ours: set[int]) -> int:
    """Return the ticks of all processes that are not ours; those of one that ended stand with its parent."""
    table = _processes()
    family = _family(table, ours)
    return sum(process.ticks for pid, process in table.items() if pid not in family)


def _family(table: dict[int, _Process], roots: set[int]) -> set[int]:
    def leads(pid: int) -> bool:
        while pid in table and pid not in roots:
            pid = table[pid].parent
        return pid in roots

    return {pid for pid in table if leads(pid)}


def _processes() -> dict[int, _Process]:
    found: dict[int, _Process] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:  # it ended just now
            continue
        pid, parent = int(path.parent.name), int(fields[1])
        if _KERNEL not in (pid, parent):
            found[pid] = _Process(parent, sum(int(field) for field in fields[11:15]))
    return found


def _stolen() -> int:
    with Path("/proc/stat").open() as file:
        return int(file.readline().split()[8])
