"""A row of a clone as texts, and the statements that write one: what a scenario does, as the application would."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from runtime.rehearsal.facts import Rule, named_in
from runtime.spec.render import literal, qualified, quoted
from runtime.spec.schema import Column, ForeignKey, Table


@dataclass(frozen=True)
class Row:
    """A row: every column's value as Postgres writes it, None for NULL."""

    table: Table
    values: Mapping[str, str | None] = field(default_factory=dict)

    @property
    def key(self) -> dict[str, str | None]:
        """Return the primary key, or the whole row where there is none."""
        names = self.table.primary_key or tuple(c.name for c in self.table.columns if not c.generated)
        return {name: self.values.get(name) for name in names}

    def itself(self) -> "Predicate":
        """Return the predicate that a row has all these values."""
        columns = [column for column in self.table.columns if column.name in self.values]
        same = (f"{quoted(c.name)} IS NOT DISTINCT FROM {value_sql(c, self.values[c.name])}" for c in columns)
        return Predicate(" AND ".join(same))

    def is_in(self, rows: "Iterable[Row]") -> bool:
        """Return whether it is one of these rows, whatever its other values."""
        return any(row.table.relation == self.table.relation and row.key == self.key for row in rows)

    def refers_to(self, other: "Row") -> bool:
        """Return whether a foreign key of this row points at the other."""
        for key in self.table.foreign_keys:
            values = [self.values.get(column) for column in key.columns]
            known = [other.values.get(column) for column in key.references]
            if key.table == other.table.relation and None not in values and values == known:
                return True
        return False

    def changed(self, changes: Mapping[str, str | None]) -> "Row":
        """Return the row with some values changed."""
        return Row(self.table, {**self.values, **changes})


@dataclass(frozen=True)
class Predicate:
    """What a row is wanted for: a condition over its bare columns, and which answer it shall give."""

    condition: str
    answer: str = "TRUE"
    """TRUE, NOT TRUE, FALSE or NULL."""

    def rule(self, table: Table) -> Rule:
        """Return the rule for the table's rows."""
        columns = named_in(self.condition, (column.name for column in table.columns))
        return Rule(f"({self.condition}) IS {self.answer}", columns, self.condition)


def value_sql(column: Column, value: str | None) -> str:
    """Return a value as SQL of the column's type."""
    return f"CAST({'NULL' if value is None else literal(value)} AS {column.type})"


def row_sql(table: Table, values: Mapping[str, str | None]) -> dict[str, str]:
    """Return column → SQL of its value, for the columns that can be written."""
    return {c.name: value_sql(c, values[c.name]) for c in table.columns if c.name in values and not c.generated}


def insert_sql(rows: Sequence[Row]) -> str:
    """Return one INSERT of rows of the same table that name the same columns."""
    table = rows[0].table
    written = [row_sql(table, row.values) for row in rows]
    target = f"INSERT INTO {qualified(table.relation)}"
    if not written[0]:
        return f"{target} DEFAULT VALUES"
    own = " OVERRIDING SYSTEM VALUE" if any(c.identity and c.name in written[0] for c in table.columns) else ""
    values = ", ".join(f"({', '.join(parts.values())})" for parts in written)
    return f"{target} ({', '.join(map(quoted, written[0]))}){own} VALUES {values}"


def update_sql(rows: Sequence[Row], changes: Mapping[str, str | None]) -> str:
    """Return one UPDATE of rows of the same table."""
    table = rows[0].table
    sets = ", ".join(f"{quoted(name)} = {value}" for name, value in row_sql(table, changes).items())
    return f"UPDATE {qualified(table.relation)} SET {sets} WHERE {_which(rows)}"


def delete_sql(row: Row) -> str:
    """Return the DELETE of one row."""
    return f"DELETE FROM {qualified(row.table.relation)} WHERE {_which([row])}"


def _which(rows: Sequence[Row]) -> str:
    return " OR ".join(f"({_is(row)})" for row in rows)


def _is(row: Row) -> str:
    return " AND ".join(
        f"{quoted(name)} IS NULL" if row.values.get(name) is None else f"{quoted(name)} = {value}"
        for name, value in row_sql(row.table, row.key).items()
    )


def parent_exists(key: ForeignKey) -> Rule:
    """Return the rule that a row's parent by this key exists, or that it has none."""
    columns, references = (", ".join(map(quoted, names)) for names in (key.columns, key.references))
    nothing = " OR ".join(f"{quoted(column)} IS NULL" for column in key.columns)
    there = f"({columns}) IN (SELECT {references} FROM {qualified(key.table)})"
    return Rule(f"{nothing} OR {there}", frozenset(key.columns), "")


def as_texts(table: Table) -> str:
    """Return the select list of a whole row, every column as text."""
    return ", ".join(f"{quoted(column.name)}::text" for column in table.columns)


def from_texts(table: Table, values: Sequence[str | None]) -> Row:
    """Return what such a select list gave, as a row."""
    return Row(table, dict(zip((column.name for column in table.columns), values, strict=True)))


def in_words(wanted: Sequence[Predicate]) -> str:
    """Return what rows are wanted for, to be read."""
    said = [f"{predicate.condition} is {predicate.answer.lower()}" for predicate in wanted]
    return " and ".join(said) or "its rules hold"
