"""What the doctor finds: one thing that was looked at, how bad it is, and the next step."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    level: Level
    code: str
    message: str
    next_step: str = ""
    sql: tuple[str, ...] = ()
    """The exact statements that mend it, for somebody who may run them."""
