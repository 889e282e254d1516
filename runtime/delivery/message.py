"""What enters delivery and what it makes of it: a send step's people, and the messages and requests frozen for them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from runtime.spec.compiled import CompiledText


class People(Protocol):
    """The rows of a `to`: how many there are, and each of them once, in their order. A list will do."""

    def __len__(self) -> int:
        """Return the number of rows."""
        ...

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        """Yield the rows."""
        ...


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
    people: People
    """The rows of `to`; email, slack, key, locale and zone have a meaning."""


class NewMessage(NamedTuple):
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
    """{"messages": [...]}: exactly what each attempt sends. Or {"each": [...]}, with what the messages of many batches
    share left out: `runtime.delivery.frozen` expands it."""

    @property
    def size(self) -> int:
        """Return how many messages it holds."""
        return len(self.request["each"] if "each" in self.request else self.request["messages"])


@dataclass(frozen=True)
class Prepared:
    """Everything that `store` writes."""

    messages: Sequence[NewMessage]
    batches: Sequence[NewBatch]
    shared: Mapping[str, Any] | None = None
    """What the batches leave out, where they share anything."""
