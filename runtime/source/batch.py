"""What a compiled statement is run over: the data of many runs side by side."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from runtime.ledger.arrays import int_array, text_array, time_array


@dataclass(frozen=True)
class Batch:
    """One entry per run in each list, in the same order; jsonb travels as text, unparsed."""

    ids: list[int]
    at: list[datetime]
    new: list[str | None] = field(default_factory=list)
    old: list[str | None] = field(default_factory=list)
    item: list[str | None] = field(default_factory=list)
    context: list[str] = field(default_factory=list)
    """Per run: {query name: [rows]}."""

    def parameters(self, *, now: datetime, cap: int) -> dict[str, Any]:
        """Return the parameters a Statement may name; lists that were left out are as long as the others."""
        absent: list[str | None] = [None] * len(self.ids)
        return {
            "ids": int_array(self.ids),
            "at": time_array(self.at),
            "new": text_array(self.new or absent),
            "old": text_array(self.old or absent),
            "item": text_array(self.item or absent),
            "context": text_array(self.context or ["{}"] * len(self.ids)),
            "now": now,
            "cap": cap,
        }

    def only(self, ids: set[int]) -> "Batch":
        """Return the batch of those runs alone: how a failing batch is split."""
        places = [place for place, run_id in enumerate(self.ids) if run_id in ids]

        def pick(values: list[Any]) -> list[Any]:
            return [values[place] for place in places] if values else []

        return Batch(
            ids=pick(self.ids),
            at=pick(self.at),
            new=pick(self.new),
            old=pick(self.old),
            item=pick(self.item),
            context=pick(self.context),
        )
