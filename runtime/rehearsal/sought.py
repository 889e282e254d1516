"""One table's row for a query: found, changed or made, so that what the query asks of it holds."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from runtime.rehearsal.conditions import Bound, bound
from runtime.rehearsal.row import Predicate, Row
from runtime.rehearsal.rows import NoRow, Rows
from runtime.spec.render import quoted
from runtime.spec.schema import Table


@dataclass(frozen=True)
class Tie:
    """That one of the row's columns equals another row's."""

    predicate: Predicate
    column: str
    alias: str
    """The other row."""
    other: str
    """Its column."""


@dataclass
class Asked:
    """What a query asks of one of its tables."""

    ties: list[Tie] = field(default_factory=list)
    plain: list[Predicate] = field(default_factory=list)
    loose: list[Predicate] = field(default_factory=list)
    """With queries inside: they can be asked of rows that are there, not solved for one that is not."""
    soft: list[Predicate] = field(default_factory=list)
    """What later joins are likely to need."""

    @property
    def tied(self) -> list[Predicate]:
        """Return the ties as predicates."""
        return [tie.predicate for tie in self.ties]


def fitting_row(
    rows: Rows, table: Table, asked: Asked, known: dict[str, Bound], *, protected: Sequence[Row], force: bool
) -> Row:
    """Return a row that does what is asked; rows in `protected` stay as they are, with `force` it is a new one.

    A row that is known may be made to point at the new one: `known` then says so. Raises NoRow.
    """
    every = [*asked.tied, *asked.plain]
    if not force:
        for wanted in ([*every, *asked.loose, *asked.soft], [*every, *asked.soft], every):
            if (found := rows.find(table.relation, *wanted)) is not None:
                return found
        for wanted in ([*every, *asked.soft], every):
            with suppress(NoRow):
                return _changed(rows, table, asked, wanted, protected)
    for wanted in ([*every, *asked.soft], every):
        with suppress(NoRow):
            return rows.make(table.relation, *wanted)
    return _pointed_at(rows, table, asked, known, protected)


def _changed(rows: Rows, table: Table, asked: Asked, wanted: Sequence[Predicate], protected: Sequence[Row]) -> Row:
    """Change the row that the ties point at."""
    tied = rows.find(table.relation, *asked.tied, but=protected) if asked.ties else None
    if tied is None:
        raise NoRow(f"No row of {table.relation} is tied to what is there.")
    return rows.update(tied, *wanted)


def _pointed_at(rows: Rows, table: Table, asked: Asked, known: dict[str, Bound], protected: Sequence[Row]) -> Row:
    """Make a row that does, but for its ties, and let the rows it is tied to point at it."""
    movable = list(_movable(asked, known, protected))
    if not movable:
        raise NoRow(f"No row of {table.relation} was found that does what the query asks.")
    kept = [tie.predicate for tie in asked.ties if tie not in movable]
    row = rows.make(table.relation, *kept, *asked.plain)
    for tie in movable:
        other = known[tie.alias].row
        value = row.values[tie.column]
        if other is not None and value is not None:
            literal = value.replace("'", "''")
            known[tie.alias] = bound(rows.update(other, Predicate(f"{quoted(tie.other)}::text = '{literal}'")))
    return row


def _movable(asked: Asked, known: dict[str, Bound], protected: Sequence[Row]) -> Iterator[Tie]:
    for tie in asked.ties:
        bound_row = known.get(tie.alias)
        other = bound_row.row if bound_row else None
        if other is not None and not other.is_in(protected) and tie.other not in other.table.primary_key:
            yield tie
