"""What the texts of a run may print, as plain values."""

from collections.abc import Mapping, Sequence
from typing import Any

from runtime.engine.runs import Run
from runtime.ledger.jsonb import from_json


def names_of(run: Run, live: Sequence[Mapping[str, Any]] | None) -> dict[str, Any]:
    """Return new, old, item, live, event and what each query gave; a row that does not exist has no name.

    `live` is the row as it is now, in a list: empty when it is gone, None when nothing prints it.
    """
    names: dict[str, Any] = from_json(run.context)
    rows = {"new": run.new, "old": run.old, "item": run.item}
    names |= {name: from_json(text) for name, text in rows.items() if text is not None}
    if live is not None:
        names["live"] = dict(live[0]) if live else {}
    names["event"] = {"at": run.at.isoformat()}
    return names
