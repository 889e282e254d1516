"""What is known of a run, from what started it to what became of its messages, as data and in sentences."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

_ENDED = {
    "condition_false": "ended: the workflow's `if` did not hold, so nobody was told",
    "while_false": "ended: `while` no longer held",
    "gone": "ended: the row was gone",
    "discarded": "was discarded when what had been waiting was resumed, so nobody was told",
}
_REASONS = {
    "condition_false": "its `if` did not hold",
    "while_false": "`while` no longer held",
    "gone": "the row was gone",
    "nobody": "`to` returned nobody",
    "discarded": "it was discarded",
}
_OPS = {"insert": "inserted", "update": "updated", "delete": "deleted"}


@dataclass(frozen=True)
class StepStory:
    """What a step did, or why it did nothing."""

    name: str
    status: str
    reason: str
    detail: Mapping[str, Any]
    at: datetime

    def line(self) -> str:
        """Say it in one sentence."""
        said = f"Step {self.name}: {self.status} at {instant(self.at)}"
        if self.reason:
            because = ", because" if self.reason in _REASONS else ":"
            said += f"{because} {reason_in_words(self.reason)}"
        if self.reason == "discarded" and self.detail.get("by"):
            said += f" by {self.detail['by']}{f' ({why})' if (why := self.detail.get('why')) else ''}"
        if self.status in ("waiting", "done") and self.detail.get("until"):
            waited = ", until" if self.status == "waiting" else ", after waiting until"
            said += f"{waited} {instant(datetime.fromisoformat(self.detail['until']).astimezone(UTC))}"
        if "rows" in self.detail:
            said += f", {self.detail['rows']} row{'' if self.detail['rows'] == 1 else 's'}"
        if self.detail.get("people"):
            said += f", {self.detail['people']} {'person' if self.detail['people'] == 1 else 'people'}"
        return f"{said}."


@dataclass(frozen=True)
class MessageStory:
    """One person's message, and what became of it."""

    id: int
    step: str
    key: str
    """Which person, as `to` says."""
    channel: str
    address: str
    status: str
    """queued, held, sent, delivered, bounced, failed, uncertain or suppressed."""
    reason: str
    detail: str
    """The reason in words."""
    provider: str
    provider_id: str
    at: datetime
    sent_at: datetime | None

    def line(self) -> str:
        """Say it in one sentence."""
        said = f"Message {self.id} of step {self.step} to {self.address or self.key} by {self.channel}: {self.status}"
        if self.provider:
            said += f" through {self.provider}"
        if self.provider_id:
            said += f" as {self.provider_id}"
        if self.sent_at:
            said += f" at {instant(self.sent_at)}"
        if self.reason or self.detail:
            said += f" ({': '.join(part.rstrip('.') for part in (self.reason, self.detail) if part)})"
        return f"{said}."


@dataclass(frozen=True)
class RunStory:
    """A run from what started it to where it stands."""

    id: int
    workflow: str
    version: int
    state: str
    reason: str
    at: datetime
    """event.at"""
    relation: str
    """Empty for schedules, as op and key are."""
    event_id: int | None
    op: str
    key: Mapping[str, Any] | None
    slot: datetime | None
    item: Mapping[str, Any] | None
    """The key columns of a schedule's item."""
    finished_at: datetime | None
    waits_until: datetime | None
    stands_at: str
    """The step that a run which is under way does next, or waits in."""
    paused: bool
    pause: str = ""
    """The pause in which it rests, in a sentence."""
    steps: tuple[StepStory, ...] = ()
    messages: tuple[MessageStory, ...] = ()
    """Those that were asked about; of very many the first."""
    tally: Mapping[str, int] = field(default_factory=dict)
    """Of all its messages: delivery status, with its reason, and how many."""
    about: str = ""
    """The address that was asked about."""

    def lines(self) -> Iterator[str]:
        """Tell it in sentences."""
        yield self._origin()
        yield from (step.line() for step in self.steps)
        yield from (message.line() for message in self.messages)
        if self.about and not self.messages:
            yield f"Run {self.id} made no message for {self.about}."
        if sum(self.tally.values()) > len(self.messages):
            counts = ", ".join(f"{count:,} {status}" for status, count in self.tally.items())
            yield f"All messages of run {self.id}: {counts}."
        yield self._state()

    def _origin(self) -> str:
        run = f"run {self.id} of {self.workflow}, version {self.version}"
        if self.slot is not None:
            item = f", for the item {spoken(self.item)}" if self.item else ""
            return f"It was time: the slot of {instant(self.slot)} started {run}{item}."
        row = f"{self.relation} {spoken(self.key or {})}".strip()
        return (
            f"{row} was {_OPS.get(self.op, 'changed')} at {instant(self.at)} (event {self.event_id}): it started {run}."
        )

    def _state(self) -> str:
        run = f"Run {self.id}"
        at = f" at {instant(self.finished_at)}" if self.finished_at else ""
        match self.state:
            case "ended":
                return f"{run} {_ENDED.get(self.reason, f'ended: {self.reason}')}{at}."
            case "failed":
                return f"{run} failed{at}: {self.reason.rstrip('.')}. Its change is kept: it can be replayed."
            case "completed":
                return f"{run} is complete{at}."
        step = f" in step {self.stands_at}" if self.stands_at else ""
        if self.paused:
            return f"{run} rests{step}: {self.pause or 'the workflow is paused.'}"
        return (
            f"{run} waits{step} until {instant(self.waits_until)}."
            if self.waits_until
            else f"{run} is under way{step}."
        )


def instant(at: datetime | None) -> str:
    """Return an instant for people."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC" if at else ""


def reason_in_words(reason: str) -> str:
    """Return why something ended or did nothing: Tidings' own codes in words, any other text as it is."""
    return _REASONS.get(reason, reason.rstrip("."))


def spoken(key: Mapping[str, Any] | Sequence[Any]) -> str:
    """Return a key for people: `id = 5`."""
    return ", ".join(f"{name} = {value}" for name, value in key.items()) if isinstance(key, Mapping) else str(key)
