"""What happened in a run of the faults, as JSON lines: written while it goes on, read afterwards."""

import json
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self


class History:
    """A file of records, one a line, each with its `kind` and the wall clock's `at`. Safe to share between threads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._file = path.open("a", encoding="utf-8")

    def write(self, kind: str, **values: Any) -> None:
        """Add what happened now."""
        line = json.dumps({"at": time.time(), "kind": kind, **values})
        with self._lock:
            self._file.write(f"{line}\n")
            self._file.flush()

    def accepted(self, taken: Mapping[str, Any]) -> None:
        """Add what a far end has taken, or saw that must not be."""
        self.write("altered" if "altered" in taken else "accepted", **taken)

    def records(self, kind: str) -> list[dict[str, Any]]:
        """Return everything of one kind so far, in the order in which it happened."""
        return [record for record in self if record["kind"] == kind]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield what was written so far."""
        with self.path.open(encoding="utf-8") as file:
            yield from map(json.loads, file)

    def close(self) -> None:
        """Close the file, which stays."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
