"""Which values are tried for which column of a row to be: candidates that its type can read, parents, fresh keys."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from psycopg import Connection, Error

from runtime.ledger.queries import load_queries
from runtime.rehearsal.candidates import Wanted, candidates, strings_in
from runtime.rehearsal.facts import ColumnShape, Rule, TableFacts
from runtime.rehearsal.solver import columns_of
from runtime.spec.render import literal, qualified, quoted
from runtime.spec.schema import AddressKind, Column, ForeignKey, Table
from runtime.spec.sqltypes import NUMBERS, TEXTS, TIMES, base_type

_QUERIES = load_queries("runtime.rehearsal", "rows.sql")
_MOST_PARENTS = 20
_CHANCE = re.compile(r"random|uuid", re.IGNORECASE)


@dataclass(frozen=True)
class Sought:
    """A row that is looked for."""

    facts: TableFacts
    wanted: tuple[Rule, ...]
    """The conditions it shall meet, besides the table's own."""
    fixed: Mapping[str, str | None]
    number: int
    relaxed: frozenset[ForeignKey] = frozenset()
    """Foreign keys whose parent will be made to fit."""
    filled: frozenset[str] = frozenset()
    """Columns that turned out to need a value, though the table says otherwise."""

    @property
    def rules(self) -> tuple[Rule, ...]:
        """Return everything it must satisfy, except its foreign keys."""
        return (*self.facts.checks, *self.facts.keys, *self.wanted)

    def named(self, rules: Sequence[Rule]) -> frozenset[str]:
        """Return the columns that rules depend on."""
        return frozenset().union(*(columns_of(self.facts, rule) for rule in rules))


@dataclass
class Chooser:
    """Finds values to try; remembers which texts a type can read."""

    conn: Connection[Any]
    at: datetime
    addresses: Mapping[str, AddressKind] = field(default_factory=dict)
    _readable: dict[tuple[str, tuple[str, ...]], list[str]] = field(default_factory=dict)
    _shifted: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def choices(self, sought: Sought) -> dict[str, list[str | None]]:
        """Return values to try for every column that needs one; the others are left to their defaults."""
        own, wanted = sought.named(sought.rules), sought.named(sought.wanted)
        own = own.union(*(key.columns for key in self.relevant(sought)))
        found: dict[str, list[str | None]] = {}
        for column in sought.facts.table.columns:
            if column.name in sought.fixed:
                found[column.name] = [sought.fixed[column.name]]
            elif not column.generated and (column.name in own or self._worth(sought, column)):
                found[column.name] = self.values(sought, column, asked=column.name in wanted)
        return found

    def relevant(self, sought: Sought) -> list[ForeignKey]:
        """Return the foreign keys that the row will have a parent for; the others stay NULL."""
        wanted = sought.named(sought.wanted) | sought.fixed.keys()
        required = {column.name for column in sought.facts.table.columns if not column.nullable}
        needed = wanted | required | sought.filled
        return [key for key in sought.facts.table.foreign_keys if set(key.columns) & needed]

    def values(self, sought: Sought, column: Column, *, asked: bool) -> list[str | None]:
        """Return the values to try for one column; `asked` says that the conditions are about it."""
        parents = [key for key in self.relevant(sought) if column.name in key.columns]
        if not parents and any(column.name in key.columns for key in sought.facts.table.foreign_keys):
            return [None]
        texts: list[str | None] = []
        for key in parents:
            texts += self.parent_values(key, column.name)
        if not parents or any(key in sought.relaxed for key in parents):
            texts += self._fresh(sought, column)
        if not parents or asked or any(key in sought.relaxed for key in parents):
            texts += self._candidates(sought, column, asked=asked)
        values = list(dict.fromkeys(texts))
        if not column.nullable or column.name in sought.filled:
            return values
        is_address = f"{sought.facts.table.relation}.{column.name}" in self.addresses
        is_filled = asked or is_address or base_type(column) in TEXTS or _is_chance(column)
        first = values[:1] if is_filled and not (parents and not asked) else []
        return [*first, None, *values[len(first) :]]

    def parent_values(self, key: ForeignKey, column: str) -> list[str | None]:
        """Return what the column may be so that a parent exists, in the order of the parents' keys."""
        reference = quoted(key.references[key.columns.index(column)])
        order = ", ".join(map(quoted, key.references))
        statement = f"SELECT {reference}::text FROM {qualified(key.table)} ORDER BY {order} LIMIT {_MOST_PARENTS}"
        return [row[0] for row in self.conn.execute(statement)]

    def _worth(self, sought: Sought, column: Column) -> bool:
        """Return whether a column that no rule names gets a value."""
        if column.identity or column.default:
            return _is_chance(column)
        if not column.nullable or column.name in sought.filled:
            return True
        is_key = any(column.name in key.columns for key in sought.facts.table.foreign_keys)
        is_text = base_type(column) in TEXTS and not column.labels
        return not is_key and (is_text or f"{sought.facts.table.relation}.{column.name}" in self.addresses)

    def _fresh(self, sought: Sought, column: Column) -> list[str]:
        """Return values that no row has yet: the next of a sequence, a default, one more than the highest."""
        table = sought.facts.table
        found = [self._next(table, column)]
        if base_type(column) in NUMBERS and column.name in sought.named(sought.facts.keys):
            statement = f"SELECT (coalesce(max({quoted(column.name)}), 0) + 1)::text FROM {qualified(table.relation)}"
            found.append(self._one(statement))
        return [value for value in found if value is not None]

    def _next(self, table: Table, column: Column) -> str | None:
        if column.identity:
            sequence = f"pg_get_serial_sequence({literal(qualified(table.relation))}, {literal(column.name)})"
            return self._one(f"SELECT nextval({sequence})::text")
        if not column.default or _is_chance(column):
            return None
        return self._one(f"SELECT CAST(({column.default}) AS {column.type})::text")

    def _one(self, statement: str) -> str | None:
        """Return the one value of a SELECT; None when it fails, as a default may that wants more than a literal."""
        try:
            with self.conn.transaction():
                row = self.conn.execute(statement).fetchone()
        except Error:
            return None
        return row[0] if row else None

    def _candidates(self, sought: Sought, column: Column, *, asked: bool) -> list[str]:
        lists_first = sorted(sought.facts.checks, key=lambda rule: "ANY" not in rule.literals)  # in their own order
        rules = " ".join(rule.literals for rule in (*sought.wanted, *lists_first) if column.name in rule.columns)
        wanted = Wanted(
            column=column,
            shape=sought.facts.shapes.get(column.name, ColumnShape()),
            rules=rules,
            number=sought.number,
            asked=asked,
            at=self.at,
            address=self.addresses.get(f"{sought.facts.table.relation}.{column.name}"),
            shifted=self._shifts(rules) if base_type(column) in TIMES else (),
        )
        return self._castable(column.type, tuple(candidates(wanted)))

    def _castable(self, type_name: str, values: tuple[str, ...]) -> list[str]:
        """Return those values that the type can read: a bad cast is an error, not false."""
        if (type_name, values) not in self._readable:
            rows = self.conn.execute(_QUERIES["castable"], {"values": list(values), "type": type_name})
            self._readable[type_name, values] = [row[0] for row in rows]
        return self._readable[type_name, values]

    def _shifts(self, rules: str) -> tuple[str, ...]:
        if rules not in self._shifted:
            values = {"values": strings_in(rules), "at": self.at}
            self._shifted[rules] = tuple(row[0] for row in self.conn.execute(_QUERIES["shifted"], values))
        return self._shifted[rules]


def _is_chance(column: Column) -> bool:
    """Return whether the default is another one each time: reports would differ from one rehearsal to the next."""
    return bool(_CHANCE.search(column.default))
