"""A race: the variants of one job take turns, round by round, so that whatever drifts meets all of them alike."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from bench.noise import Noise, listening
from bench.results import Series

Measured = Mapping[str, float]
"""Metric → value."""


@dataclass(frozen=True)
class Variant:
    """One way of doing a job."""

    name: str
    measure: Callable[[], Measured]
    """Sets up, measures once, and leaves nothing behind."""


@dataclass
class Outcome:
    """Everything that was measured, by variant and metric, one value for each round."""

    values: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    noisy: dict[str, int] = field(default_factory=dict)
    """Variant → rounds that others disturbed."""

    def of(self, variant: str, metric: str) -> Series:
        """Return what was measured of a variant."""
        return self.values[variant][metric]

    def share(self, variant: str, metric: str, *, of: str) -> Series:
        """Return a variant's value as a share of another's in the same round."""
        return [a / b for a, b in zip(self.of(variant, metric), self.of(of, metric), strict=True)]

    def more(self, variant: str, metric: str, *, than: str) -> Series:
        """Return by how much a variant's value exceeds another's in the same round."""
        return [a - b for a, b in zip(self.of(variant, metric), self.of(than, metric), strict=True)]

    def loud(self, variants: Sequence[str]) -> int:
        """Return the most rounds that were disturbed of any of the variants."""
        return max((self.noisy.get(name, 0) for name in variants), default=0)


def race(
    variants: Sequence[Variant],
    *,
    rounds: int,
    postmaster: int,
    tell: Callable[[str], None],
    again: int = 1,
) -> Outcome:
    """Measure every variant once a round, beginning with another one each time.

    What others disturb is measured `again` at once; a round that stays noisy counts, and is marked.
    """
    outcome = Outcome()
    for number in range(rounds):
        start = number % len(variants)
        for variant in (*variants[start:], *variants[:start]):
            measured, noise = _measure(variant, postmaster, again)
            for metric, value in measured.items():
                outcome.values.setdefault(variant.name, {}).setdefault(metric, []).append(value)
            outcome.noisy[variant.name] = outcome.noisy.get(variant.name, 0) + noise.loud
            shown = ", ".join(f"{metric} {value:,.4g}" for metric, value in measured.items())
            loud = f"   (noisy: others used {noise.cores:.2f} cores)" if noise.loud else ""
            tell(f"round {number + 1} of {rounds}  {variant.name}: {shown}{loud}")
    return outcome


def _measure(variant: Variant, postmaster: int, again: int) -> tuple[Measured, Noise]:
    for left in range(again, -1, -1):
        with listening(postmaster) as noise:
            measured = variant.measure()
        if not noise.loud or left == 0:
            break
    return measured, noise
