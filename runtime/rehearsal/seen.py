"""What can be seen of a world: its messages, what did not become one and why, and its runs."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Sent:
    """A message in the world's inbox."""

    id: int
    channel: str
    address: str
    at: datetime
    """Virtual time."""
    subject: str
    text: str
    html: str
    locale: str
    key: str
    """Which person, as `to` says."""
    run_id: int
    workflow: str
    step: str


@dataclass(frozen=True)
class Unsent:
    """Something that did not become a message, with the reason."""

    what: str
    """message (a person who gets none), run (ended or failed), step (did nothing) or error (a dead letter)."""
    run_id: int
    step: str
    address: str
    outcome: str
    reason: str
    detail: str
    at: datetime


@dataclass(frozen=True)
class RunState:
    """A run as it is."""

    id: int
    workflow: str
    state: str
    reason: str
    at: datetime
    step: str | None
    """The step that it does next, or waits in."""
    due_at: datetime | None
    """Until when it waits."""
