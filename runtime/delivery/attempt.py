"""What becomes of one batch: decided from what is known before an attempt, and from the provider's answer to it.

An open batch whose `first_attempt_at` is set is in doubt: the provider may have taken it. It may be sent again where
the provider is sure to take the same request once; everywhere else, and later, nobody can say what happened to it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from runtime.delivery.provider import Parked, Provider, Uncertain
from runtime.delivery.retry import crowd, is_given_up, wait
from runtime.errors import Permanent, Temporary


@dataclass(frozen=True)
class OpenBatch:
    """A batch that is not finished, as it was before this attempt."""

    id: int
    provider: str
    key: str
    request: Mapping[str, Any]
    attempts: int
    first_attempt_at: datetime | None
    created_at: datetime
    wall: datetime
    """The wall clock when it was read."""
    paused_until: datetime | None
    pause_reason: str | None
    pause_error: str | None
    paused_for: int | None = None
    """The pause that stops it: of everything (0), or of its workflow."""
    discarded_by: str | None = None
    """Who decided that it is not to be sent after all."""
    shared_id: int | None = None
    """What its request leaves out."""

    @property
    def is_in_doubt(self) -> bool:
        """Whether an earlier attempt may have been taken."""
        return self.first_attempt_at is not None


@dataclass(frozen=True)
class Result:
    """What is written down about a batch."""

    batch_id: int
    state: str
    reason: str = ""
    error: str = ""
    provider_ids: tuple[str, ...] | None = None
    refused: Mapping[int, str] = field(default_factory=dict)
    due_at: datetime | None = None
    """When to try again; None: it is finished."""
    untouched: bool = False
    """The provider has surely not taken it, in any attempt."""
    uncounted: bool = False
    """The attempt met a pause, and does not count as one."""
    pause_until: datetime | None = None
    """Until when nothing more should be given to the provider."""
    parked_for: int | None = None
    """The pause whose end it waits for."""


def without_attempt(batch: OpenBatch, provider: Provider | None, *, now: datetime, turns: int) -> Result | None:
    """Return what becomes of a batch that is not to be sent now, or None when it is.

    `turns` counts how often this work was taken up: what can't go now is looked at ever more rarely.
    """
    if stop := _stopped(batch):
        return stop
    if provider is None:
        error = f"This worker has no settings for {batch.provider}. It is tried again; `tidings doctor` names them."
        return held(batch, "no_provider", error, now=now, turns=turns)
    window = provider.idempotency_window
    if batch.first_attempt_at is not None:
        if window is None:
            error = "The worker was interrupted while it was sending. The message may have arrived, or not."
            return Result(batch.id, "uncertain", "interrupted", error)
        if batch.wall - batch.first_attempt_at >= window:
            error = f"No answer within {window}: after that, sending again could send it twice."
            return Result(batch.id, "uncertain", "unanswered", error)
    if batch.paused_until is not None:
        due = batch.paused_until + crowd(turns, key=batch.key)
        reason = batch.pause_reason or ""
        return Result(batch.id, _pause_state(reason), reason, batch.pause_error or "", due_at=due)
    return None


def _stopped(batch: OpenBatch) -> Result | None:
    """Return what a person's word makes of a batch; what may have been taken already can't be called back."""
    if batch.discarded_by is not None:
        words = f"Discarded by {batch.discarded_by} when the workflow was resumed."
        if batch.is_in_doubt:
            return Result(batch.id, "uncertain", "discarded", f"{words} An attempt before then may have been taken.")
        return Result(batch.id, "suppressed", "discarded", words)
    if batch.paused_for is None:
        return None
    what = "The workflow is" if batch.paused_for else "Everything is"
    return Result(batch.id, "held", "paused", f"{what} paused. `tidings resume` goes on.", parked_for=batch.paused_for)


def held(batch: OpenBatch, reason: str, error: str, *, now: datetime, turns: int) -> Result:
    """Return a batch as held; it is looked at again by itself."""
    return Result(batch.id, "held", reason, error, due_at=now + wait(turns, key=batch.key))


def given_back(batch: OpenBatch, pause: Result | None, *, now: datetime, turns: int) -> Result:
    """Return what becomes of a batch that was marked and then not given to its provider: as if it had not been marked.

    `pause` is what another batch met, whose end this one waits for, too; None: its turn comes at once.
    """
    state, reason, error, due = "queued", "", "", now
    if pause is not None and pause.pause_until is not None:
        state, reason, error = pause.state, pause.reason, pause.error
        due = pause.pause_until + crowd(turns, key=batch.key)
    return Result(batch.id, state, reason, error, due_at=due, untouched=not batch.is_in_doubt, uncounted=True)


def attempt(batch: OpenBatch, provider: Provider, *, now: datetime, turns: int) -> Result:
    """Give the batch to its provider and return what became of it. Outside any transaction."""
    try:
        accepted = provider.send(batch.request, key=batch.key)
    except Parked as error:
        return _parked(batch, error, now=now, turns=turns)
    except Temporary as error:
        return _refused_for_now(batch, error, now=now)
    except Permanent as error:
        return _over(batch, "refused", str(error))
    except Uncertain as error:
        if provider.idempotency_window is None:
            return Result(batch.id, "uncertain", "unanswered", str(error))
        due = now + wait(batch.attempts + 1, key=batch.key)
        return Result(batch.id, "queued", "unanswered", str(error), due_at=due)
    return Result(batch.id, "sent", provider_ids=accepted.ids, refused=accepted.refused)


def _parked(batch: OpenBatch, error: Parked, *, now: datetime, turns: int) -> Result:
    until = now + error.retry_after
    return Result(
        batch.id,
        _pause_state(error.reason),
        error.reason,
        str(error),
        due_at=until + crowd(turns, key=batch.key),
        untouched=not batch.is_in_doubt,
        uncounted=True,
        pause_until=until,
    )


def _refused_for_now(batch: OpenBatch, error: Temporary, *, now: datetime) -> Result:
    if is_given_up(batch.attempts + 1, created_at=batch.created_at, now=now):
        return _over(batch, "gave_up", f"Given up after {batch.attempts + 1} attempts: {error}")
    due = now + wait(batch.attempts + 1, key=batch.key, retry_after=error.retry_after)
    return Result(batch.id, "queued", "refused", str(error), due_at=due, untouched=not batch.is_in_doubt)


def _over(batch: OpenBatch, reason: str, error: str) -> Result:
    """Return a refused batch: failed, but only if no earlier attempt can have been taken."""
    return Result(batch.id, "uncertain" if batch.is_in_doubt else "failed", reason, error)


def _pause_state(reason: str) -> str:
    """Return queued for a rate limit, which passes unseen; a quota is something to know about."""
    return "queued" if reason == "rate_limited" else "held"
