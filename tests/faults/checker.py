"""The checker: the far ends' record and the ledger, held against what the oracle says is owed. Pure."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.faults.books import Books, Run
from tests.faults.oracle import Due, Owed, changes, owed_by

_SAID = re.compile(r"(?P<workflow>[a-z-]+) (?P<row>\d+) (?P<version>\d+)")
_SHOWN = 5


@dataclass(frozen=True)
class Findings:
    """What is wrong, and what is not but must be said."""

    events: int
    """Committed changes of rows."""
    runs: int
    owed: int
    accepted: int
    lost: tuple[Owed, ...] = ()
    """Owed, taken by nobody, and nothing says why."""
    doubled: tuple[Owed, ...] = ()
    """Taken more than once."""
    unowed: tuple[Owed, ...] = ()
    """Taken and owed to nobody."""
    swapped: tuple[tuple[Run, Run], ...] = ()
    """Runs of one workflow and row in another order than the changes."""
    late: Mapping[Owed, float] = field(default_factory=dict)
    """Seconds beyond what was due, where that is more than the bound."""
    altered: tuple[str, ...] = ()
    """Keys that were used again for another request."""
    strange: tuple[str, ...] = ()
    """Other contradictions: runs twice, messages twice, a counter that hides nothing, work left over."""
    known: Mapping[Owed, str] = field(default_factory=dict)
    """Owed and not taken, and the ledger says why."""
    uncertain: int = 0
    """Messages of which the ledger says that nobody knows."""
    latest: float = 0.0
    """Seconds after which the last message came that came in time."""

    @property
    def clean(self) -> bool:
        """Whether nothing is wrong."""
        return not (
            self.lost or self.doubled or self.unowed or self.swapped or self.late or self.altered or self.strange
        )

    def __str__(self) -> str:
        """Say it in a few lines."""
        wrong = {
            name: list(getattr(self, name))
            for name in ("lost", "doubled", "unowed", "swapped", "late", "altered", "strange")
        }
        shown = [
            f"  {name} {found[:_SHOWN]}{' …' if len(found) > _SHOWN else ''}" for name, found in wrong.items() if found
        ]
        reasons = Counter(self.known.values())
        counts = ", ".join(f"{name} {len(found)}" for name, found in wrong.items())
        return "\n".join(
            [
                f"events {self.events}, runs {self.runs}, owed {self.owed}, accepted {self.accepted}, {counts},",
                f"  known {dict(reasons)}, uncertain {self.uncertain}, slowest {self.latest:.1f} s",
                *shown,
            ]
        )


def check(records: Sequence[Mapping[str, Any]], books: Books, *, bound: float = float("inf")) -> Findings:
    """Judge a history and the ledger; `bound` is how many seconds after it was due a message may come."""
    owed = owed_by(records)
    taken = _taken(records)
    missing = [item for item, due in owed.items() if due.must and item not in taken]
    known = _known(missing, books)
    lateness = {item: min(times) - owed[item].at for item, times in taken.items() if item in owed}
    return Findings(
        events=len(changes(records)),
        runs=len(books.runs),
        owed=len(owed),
        accepted=sum(map(len, taken.values())),
        lost=tuple(item for item in missing if item not in known),
        doubled=tuple(item for item, times in taken.items() if len(times) > 1),
        unowed=tuple(item for item in taken if item not in owed),
        swapped=tuple(_swapped(books.runs)),
        late={item: seconds for item, seconds in lateness.items() if seconds > bound},
        altered=tuple(record["altered"] for record in records if record["kind"] == "altered"),
        strange=tuple(_strange(books, owed, taken)),
        known=known,
        uncertain=sum(message.status == "uncertain" for message in books.messages),
        latest=max((seconds for seconds in lateness.values() if seconds <= bound), default=0.0),
    )


def _taken(records: Iterable[Mapping[str, Any]]) -> dict[Owed, list[float]]:
    """Return when each message was taken, once for each time that it was."""
    taken: defaultdict[Owed, list[float]] = defaultdict(list)
    for record in records:
        if record["kind"] == "accepted":
            said = _SAID.fullmatch(record["said"])
            item = Owed(said["workflow"], int(said["row"]), int(said["version"]), record["to"]) if said else None
            taken[item or Owed(record["said"], 0, 0, record["to"])].append(record["at"])
    return dict(taken)


def _known(missing: Iterable[Owed], books: Books) -> dict[Owed, str]:
    """Return why what is missing was not sent, as far as the ledger says so."""
    runs = {(run.workflow, run.row, run.version): run for run in books.runs}
    messages = {(message.run_id, message.to): message for message in books.messages}
    dead_runs = {letter.run_id for letter in books.dead if letter.run_id is not None}
    dead_changes = {(letter.workflow, letter.row, letter.version) for letter in books.dead}
    keys = {(kept.relation, kept.row) for kept in books.keys}
    known: dict[Owed, str] = {}
    for item in missing:
        run = runs.get(item[:3])
        message = messages.get((run.id, item.to)) if run else None
        if message is not None and message.status not in {"queued", "sent", "delivered"}:
            known[item] = f"{message.status}: {message.reason}"
        elif run is not None and run.id in dead_runs:
            known[item] = "dead letter"
        elif run is None and item[:3] in dead_changes:
            known[item] = "dead letter of a change"
        elif run is None and (_relation(item.workflow), item.row) in keys:
            known[item] = "only the key was captured"
    uncounted = [item for item in missing if item not in known and item[:3] not in runs]
    if len(uncounted) <= books.missed:
        known |= dict.fromkeys(uncounted, "counted as missed")
    return known


def _relation(workflow: str) -> str:
    return f"trade.{workflow.partition('-')[0]}s"


def _swapped(runs: Iterable[Run]) -> Iterator[tuple[Run, Run]]:
    """Yield neighbours of one workflow and row whose versions do not rise."""
    last: dict[tuple[str, int], Run] = {}
    for run in sorted(runs, key=lambda run: run.id):
        before = last.get((run.workflow, run.row))
        if before is not None and before.version > run.version:
            yield before, run
        last[run.workflow, run.row] = run


def _strange(books: Books, owed: Mapping[Owed, Due], taken: Mapping[Owed, Any]) -> Iterator[str]:
    """Yield contradictions within the ledger, and between it and the far ends."""
    for what, times in Counter((run.workflow, run.row, run.version) for run in books.runs).items():
        if times > 1:
            yield f"{times} runs of {what}"
    runs = {run.id: run for run in books.runs}
    for message in books.messages:
        run = runs[message.run_id]
        item = Owed(run.workflow, run.row, run.version, message.to)
        if message.status in {"sent", "delivered"} and item not in taken:
            yield f"said to be sent, and nobody took {item}"
        if message.status in {"failed", "suppressed", "held"} and item in taken:
            yield f"said to be {message.status}, and taken: {item}"
        if item not in owed:
            yield f"a message that is owed to nobody: {item}"
    if books.left:
        yield f"{books.left} changes, runs or pieces of work are left over"
