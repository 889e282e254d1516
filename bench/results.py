"""What was measured, and what it is worth: a row holds a median of ours, those of the peers, and a goal."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

TIMES = "\N{MULTIPLICATION SIGN}"
Series = Sequence[float]
"""One value for each round."""


@dataclass(frozen=True)
class Goal:
    """What a row must reach."""

    words: str
    reached: Callable[[float, float | None], bool] | None = None
    """Ours and how many times as good as the best peer it is → whether it holds; without it, a row only reports."""
    higher: bool = True
    """Whether more is better."""


def at_least(least: float, *, unit: str = "") -> Goal:
    """Demand a value of at least that."""
    return Goal(f"≥ {least:,g}{unit}", lambda ours, _: ours >= least)


def at_most(most: float, *, unit: str = "") -> Goal:
    """Demand a value of at most that."""
    return Goal(f"≤ {most:,g}{unit}", lambda ours, _: ours <= most, higher=False)


def times_best(least: float, *, of: str = "the best peer") -> Goal:
    """Demand at least so many times the best peer; undecided when no peer was measured."""
    return Goal(f"≥ {least:g} {TIMES} {of}", lambda _, ratio: ratio is not None and ratio >= least)


def reported(*, higher: bool = True) -> Goal:
    """Demand nothing."""
    return Goal("reported", None, higher)


@dataclass(frozen=True)
class Row:
    """One line of the results."""

    name: str
    ours: Series
    goal: Goal
    unit: str
    peers: Mapping[str, Series] = field(default_factory=dict)
    noisy: int = 0
    """Rounds beside which others used the processors."""

    @property
    def ratio(self) -> float | None:
        """Return how many times as good as the best peer ours is, by the medians; None without a peer."""
        medians = [statistics.median(series) for series in self.peers.values()]
        ours = statistics.median(self.ours)
        if not medians:
            return None
        best = max(medians) if self.goal.higher else min(medians)
        over, under = (ours, best) if self.goal.higher else (best, ours)
        return over / under if under else None

    @property
    def holds(self) -> bool | None:
        """Return whether the goal is reached; None where nothing is demanded, or a peer to compare with is missing."""
        if self.goal.reached is None or (TIMES in self.goal.words and self.ratio is None):
            return None
        return self.goal.reached(statistics.median(self.ours), self.ratio)

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        every = {"ours": self.ours, **self.peers}
        return {
            "name": self.name,
            "ours": _rounded(statistics.median(self.ours)),
            "peers": {name: _rounded(statistics.median(series)) for name, series in self.peers.items()},
            "ratio": None if self.ratio is None else round(self.ratio, 3),
            "goal": self.goal.words,
            "holds": self.holds,
            "unit": self.unit,
            "spread": {name: [_rounded(min(series)), _rounded(max(series))] for name, series in every.items()},
            "rounds": len(self.ours),
            "noisy_rounds": self.noisy,
        }

    def as_text(self) -> str:
        """Return the row for a person."""
        verdict = {True: "✓", False: "✗", None: "·"}[self.holds]
        ours = f"{_shown(self.ours)} {self.unit}".strip()
        lines = [f"{verdict} {self.name}: {ours}   ({self.goal.words})"]
        best_first = sorted(self.peers.items(), key=lambda each: statistics.median(each[1]), reverse=self.goal.higher)
        lines += [f"      {name}: {_shown(series)}" for name, series in best_first]
        if self.ratio is not None:
            lines.append(f"      {self.ratio:.2f} {TIMES} the best of them")
        if self.noisy:
            lines.append(f"      {self.noisy} of {len(self.ours)} rounds were noisy: others used the processors")
        return "\n".join(lines)


def _shown(series: Series) -> str:
    low, middle, high = min(series), statistics.median(series), max(series)
    return f"{_rounded(middle):,g} [{_rounded(low):,g} to {_rounded(high):,g}]"


def _rounded(value: float) -> float:
    return round(value) if abs(value) >= 100 else float(f"{value:.3g}")  # noqa: PLR2004  # three digits are enough
