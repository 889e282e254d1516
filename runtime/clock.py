"""Time as an argument: every part of Tidings that asks the time is handed a Clock.

A production process uses SystemClock, the demo a ShiftedClock whose shift a person advances,
and rehearsals and tests a VirtualClock that stands still until it is told to move.
All times are timezone-aware and in UTC.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """The engine's clock."""

    def now(self) -> datetime:
        """Return the current time, aware, in UTC."""
        ...

    def stamp(self, wall: datetime) -> datetime:
        """Translate a wall-clock instant, as Postgres recorded it, to this clock."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the wall clock's time."""
        return datetime.now(UTC)

    def stamp(self, wall: datetime) -> datetime:
        """Return the instant unchanged."""
        return wall


@dataclass(frozen=True)
class ShiftedClock:
    """The machine's clock, moved forward by a fixed shift: the demo's "three days later"."""

    shift: timedelta = timedelta()

    def now(self) -> datetime:
        """Return the wall clock's time plus the shift."""
        return datetime.now(UTC) + self.shift

    def stamp(self, wall: datetime) -> datetime:
        """Return the instant plus the shift."""
        return wall + self.shift


@dataclass
class VirtualClock:
    """A clock that stands still: rehearsals, evals and tests move it by hand."""

    at: datetime = field(default_factory=lambda: datetime(2026, 6, 1, 12, tzinfo=UTC))

    def now(self) -> datetime:
        """Return the virtual time."""
        return self.at

    def stamp(self, wall: datetime) -> datetime:  # noqa: ARG002  # whatever Postgres recorded happened "now"
        """Return the virtual time: what is captured while the clock stands happened at that instant."""
        return self.at

    def advance_to(self, instant: datetime) -> None:
        """Move to an instant; moving backwards is refused."""
        if instant < self.at:
            raise ValueError(f"the clock stands at {self.at.isoformat()}, it can't go back to {instant.isoformat()}")
        self.at = instant
