"""Makes the rows that the steps after a trigger read: what `if` asks for, what queries find, the people of `to`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from runtime.rehearsal.conditions import Environment, Unknown, outer_names, written
from runtime.rehearsal.durations import duration_end
from runtime.rehearsal.row import Predicate, Row
from runtime.rehearsal.rows import NoRow
from runtime.rehearsal.wishes import address_wish
from runtime.rehearsal.witness import Witness
from runtime.spec.duration import parse_duration
from runtime.spec.model import QueryStep, SendStep, WaitStep
from runtime.spec.survey import Survey


@dataclass(frozen=True)
class Unreachable:
    """How somebody whom a send tells could have no address."""

    step: str
    row: Row
    changes: Mapping[str, str | None]


@dataclass
class Served:
    """What came of making the rows."""

    reasons: dict[str, str] = field(default_factory=dict)
    """Path of a part → why its rows were not found."""
    unreachable: list[Unreachable] = field(default_factory=list)


def serve(found: Survey, witness: Witness, environment: Environment, at: datetime) -> Served:
    """Make rows for every part of a workflow in its order, each at the time at which it is asked."""
    served = Served()
    for path in ("/if", "/while"):
        _condition(served, found, path, witness, environment)
    for number, step in enumerate(found.workflow.steps):
        path = f"/steps/{number}"
        witness.now = at.isoformat()
        _condition(served, found, f"{path}/if", witness, environment)
        match step:
            case WaitStep():
                at = _over(found, step, path, witness, environment)
            case QueryStep():
                _rows(served, found, f"{path}/sql", witness, environment)
            case SendStep():
                _people(served, found, path, witness, environment)
    return served


def _condition(served: Served, found: Survey, path: str, witness: Witness, environment: Environment) -> None:
    if path in found.fragments:
        try:
            witness.condition(found.fragments[path].tree, environment)
        except NoRow as none:
            served.reasons[path] = str(none)


def _rows(
    served: Served,
    found: Survey,
    path: str,
    witness: Witness,
    environment: Environment,
    *,
    send: SendStep | None = None,
) -> Environment:
    tree = found.fragments[path].tree
    try:
        return witness.query(tree, environment, asked=address_wish(send, tree) if send else ())
    except NoRow as none:
        served.reasons[path] = str(none)
        return {}


def _people(served: Served, found: Survey, path: str, witness: Witness, environment: Environment) -> None:
    step = found.workflow.steps[int(path.split("/")[2])]
    assert isinstance(step, SendStep)  # noqa: S101  # the caller chose by the kind
    known = _rows(served, found, f"{path}/to", witness, environment, send=step)
    asked = address_wish(step, found.fragments[f"{path}/to"].tree, missing=True)
    names = frozenset().union(*(outer_names(condition, ()) for condition in asked))
    row = known[next(iter(names))].row if len(names) == 1 and names <= known.keys() else None
    if row is None:
        return
    try:
        texts = [written(condition, known, now=witness.now, own=next(iter(names))) for condition in asked]
        changes = witness.rows.change(row, *(Predicate(text) for text in texts))
    except (NoRow, Unknown):
        return
    served.unreachable.append(Unreachable(step.send, row, changes))


def _over(found: Survey, step: WaitStep, path: str, witness: Witness, environment: Environment) -> datetime:
    """Return when a wait that begins now is over."""
    at = datetime.fromisoformat(witness.now)
    if step.duration:
        parsed = parse_duration(step.duration)
        zone = found.catalog.zone
        return duration_end(witness.conn, at, months=parsed.months, seconds=parsed.seconds, zone=zone)
    try:
        value, _ = witness.value(found.fragments[f"{path}/until"].tree, environment)
        until = datetime.fromisoformat(value or "")
    except (Unknown, ValueError):
        return at
    return max(at, until if until.tzinfo else until.replace(tzinfo=UTC))
