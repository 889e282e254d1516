"""What enters delivery and what it makes of it: a send step's people, and the messages and requests frozen for them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runtime.spec.compiled import CompiledText


@dataclass(frozen=True)
class Send:
    """One due send step of one run."""

    run_id: int
    step: int
    workflow: str
    channels: tuple[str, ...]
    """In order of preference."""
    category: str
    """transactional, product or marketing."""
    topic: str
    texts: tuple[CompiledText, ...]
    names: Mapping[str, Any]
    """What the texts may print, beside `recipient`."""
    people: Sequence[Mapping[str, Any]]
    """The rows of `to`; email, slack, key, locale and zone have a meaning."""


@dataclass(frozen=True)
class NewMessage:
    """What becomes of one person: a place in a batch, or the reason why nothing is sent."""

    run_id: int
    step: int
    recipient_key: str
    channel: str
    address: str | None
    locale: str
    topic: str
    batch: int | None = None
    """Index into Prepared.batches."""
    position: int | None = None
    """Within the batch's request."""
    outcome: str | None = None
    """suppressed or failed; None for what is in a batch."""
    reason: str = ""
    """no_address, bad_address, suppressed, unsubscribed, render_failed or no_provider."""
    detail: str = ""
    """The reason in words."""


@dataclass(frozen=True)
class NewBatch:
    """A provider request, complete and never changed again."""

    provider: str
    idempotency_key: str
    request: Mapping[str, Any]
    """{"messages": [...]}: exactly what each attempt sends."""


@dataclass(frozen=True)
class Prepared:
    """Everything that `store` writes."""

    messages: tuple[NewMessage, ...]
    batches: tuple[NewBatch, ...]
