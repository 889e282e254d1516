"""What a change scenario needs: trigger rows as they are before and after, and the rows around them.

It is set once, in a copy of the world, and written down as rows with every value; a scenario's own world is then filled
with a few INSERTs.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from runtime.rehearsal.people import Unreachable
from runtime.rehearsal.row import Row, insert_sql


@dataclass(frozen=True)
class Actor:
    """One trigger row: as it is in the state that starts a run, and as it is just before."""

    after: Row
    before: Row | None
    """None where no row was found that an UPDATE could bring into the state."""
    around: tuple[Row, ...]
    """Rows made for it that point at it: they come and go with it."""
    why_not: str = ""
    """Why nobody would be told, as far as the statements can say; empty when somebody would."""
    unreachable: tuple[Unreachable, ...] = ()
    """How people could have no address."""


@dataclass(frozen=True)
class Stage:
    """Everything that was made."""

    actors: tuple[Actor, ...]
    others: tuple[Row, ...]
    """All other rows, in the order in which they can be inserted."""


def seeds(rows: Iterable[Row]) -> str:
    """Return the statements that insert rows, in their order."""
    return ";\n".join(insert_sql([row]) for row in rows)


def pointing_at(row: Row, log: Sequence[Row]) -> tuple[Row, ...]:
    """Return the rows of the log that refer to a row, directly or through others, in their order."""
    found = [row]
    for candidate in log:
        if candidate is not row and any(candidate.refers_to(other) for other in found):
            found.append(candidate)
    return tuple(found[1:])
