"""Makes rows that honour everything a table demands and meet, or miss, a condition. Deterministic: no chance in it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any

from psycopg import Connection, Error
from psycopg.errors import ExclusionViolation, IntegrityError, NotNullViolation, ProgrammingError, UniqueViolation

from runtime.errors import TidingsError
from runtime.rehearsal.choices import Chooser, Sought
from runtime.rehearsal.facts import Facts, Rule, TableFacts
from runtime.rehearsal.row import Predicate, Row, as_texts, from_texts, in_words, insert_sql, parent_exists, update_sql
from runtime.rehearsal.solver import Choices, columns_of, solve
from runtime.spec.render import qualified, quoted
from runtime.spec.schema import AddressKind, ForeignKey

_DEEPEST = 12
_TRIES = 8


class NoRow(TidingsError):  # noqa: N818  # an answer: nothing was found, which proves nothing
    """No row was found. That is no proof that there is none: only likely values were tried."""


class Rows:
    """The rows of one clone. Parents are made as needed and used again, in the order of their keys."""

    def __init__(
        self,
        conn: Connection[Any],
        facts: Facts,
        *,
        at: datetime,
        addresses: Mapping[str, AddressKind] | None = None,
    ) -> None:
        self._conn = conn
        self._facts = facts
        self._chooser = Chooser(conn, at, addresses or {})
        self._made = 0
        self.log: list[Row] = []
        """Every row that was made, in order, as it is now: the same again in another copy of the clone."""
        self._planned: dict[str, dict[str, str | None]] = {}
        """Tables whose row is being made → the key that a row made on the way already points at."""

    def make(self, relation: str, *wanted: Predicate, fixed: Mapping[str, str | None] | None = None) -> Row:
        """Insert a row that meets the conditions and return it; raises NoRow.

        Its parents are made where they are missing. Values in `fixed` are taken as they are, as texts.
        """
        return self._outermost(relation, wanted, fixed or {}, keep=True)

    def plan(self, relation: str, *wanted: Predicate, fixed: Mapping[str, str | None] | None = None) -> Row:
        """Return a row that could be inserted, with every default in it, without inserting it; its parents are made."""
        return self._outermost(relation, wanted, fixed or {}, keep=False)

    def add(self, row: Row) -> None:
        """Insert a row as it is, such as one that was planned. Raises psycopg's errors."""
        with self._conn.transaction():
            self._conn.execute(insert_sql([row]))
        self.log.append(row)

    def find(self, relation: str, *wanted: Predicate, but: Sequence[Row] = ()) -> Row | None:
        """Return the first row, in the order of keys, that meets the conditions and is none of `but`."""
        table = self._facts.of(relation).table
        where = " AND ".join(["true", *(predicate.rule(table).text for predicate in wanted)])
        order = ", ".join(map(quoted, table.primary_key)) or "1"
        statement = f"SELECT {as_texts(table)} FROM {qualified(relation)} WHERE {where} ORDER BY {order} LIMIT 50"
        try:
            with self._conn.transaction():
                found = self._conn.execute(statement).fetchall()
        except Error:  # a condition raises on some row that is there
            return None
        return next((row for values in found if not (row := from_texts(table, values)).is_in(but)), None)

    def change(self, row: Row, *wanted: Predicate) -> dict[str, str | None]:
        """Return the fewest changes after which the row meets the conditions, likeliest first; raises NoRow.

        First only the columns of the conditions may change, then those that checks tie to them.
        """
        facts = self._facts.of(row.table.relation)
        rules = tuple(predicate.rule(row.table) for predicate in wanted)
        sought = Sought(facts, rules, {}, self._made + 1)
        free = sought.named(rules)
        tied = free.union(*(columns_of(facts, check) for check in facts.checks if columns_of(facts, check) & free))
        ties = [parent_exists(key) for key in row.table.foreign_keys if tied & set(key.columns)]
        for columns in dict.fromkeys((free, tied)):
            choices = {
                c.name: self._options(sought, row, c.name, columns) for c in row.table.columns if not c.generated
            }
            found = self._solution(facts, choices, [*facts.checks, *rules, *ties], fewest=True)
            if found is not None:
                return {name: value for name, value in found.items() if value != row.values[name]}
        raise NoRow(f"No change of a row of {row.table.relation} was found for which {in_words(wanted)}.")

    def update(self, row: Row, *wanted: Predicate) -> Row:
        """Change the row so that it meets the conditions, in the clone, and return it; raises NoRow."""
        return self.put(row, self.change(row, *wanted))

    def put(self, row: Row, changes: Mapping[str, str | None]) -> Row:
        """Make these changes to a row, in the clone, and return it. Raises psycopg's errors."""
        if not changes:
            return row
        with self._conn.transaction():
            self._conn.execute(update_sql([row], changes))
        changed = row.changed(changes)
        self.log = [changed if made.is_in([row]) else made for made in self.log]
        return changed

    def likely(self, row: Row, columns: Sequence[str], *about: Predicate) -> dict[str, list[str | None]]:
        """Return values worth trying for columns of a row, its own first; `about` are conditions that name them."""
        facts = self._facts.of(row.table.relation)
        sought = Sought(facts, tuple(predicate.rule(row.table) for predicate in about), {}, self._made + 1)
        return {name: self._options(sought, row, name, frozenset(columns)) for name in columns}

    def _options(self, sought: Sought, row: Row, name: str, free: frozenset[str]) -> list[str | None]:
        current = row.values[name]
        column = row.table.column(name)
        if column is None or name not in free:
            return [current]
        return list(dict.fromkeys([current, *self._chooser.values(sought, column, asked=True)]))

    def _outermost(
        self, relation: str, wanted: Sequence[Predicate], fixed: Mapping[str, str | None], *, keep: bool
    ) -> Row:
        with self._forgetting(), self._conn.transaction():
            row = self._within(relation, wanted, fixed, depth=0, keep=keep)
            self._settle(relation)
        return row

    @contextmanager
    def _forgetting(self) -> Iterator[None]:
        """Take out of the log again what a failure rolls back."""
        mark = len(self.log)
        try:
            yield
        except BaseException:
            del self.log[mark:]
            raise

    def _settle(self, relation: str) -> None:
        """Check the foreign keys that were put off."""
        try:
            self._conn.execute("SET CONSTRAINTS ALL IMMEDIATE")
        except IntegrityError as error:
            raise NoRow(f"No row of {relation} was found: {error.diag.message_primary}.") from error

    def _within(
        self, relation: str, wanted: Sequence[Predicate], fixed: Mapping[str, str | None], *, depth: int, keep: bool
    ) -> Row:
        if depth > _DEEPEST:
            raise NoRow(f"No row of {relation} was found: its parents need each other too deeply.")
        if depth == 0:
            self._conn.execute("SET CONSTRAINTS ALL DEFERRED")
        facts = self._facts.of(relation)
        rules = tuple(predicate.rule(facts.table) for predicate in wanted)
        sought = Sought(facts, rules, dict(fixed), self._made + 1)
        outermost = relation not in self._planned
        self._planned.setdefault(relation, {})
        try:
            return self._tried(sought, wanted, depth, keep=keep)
        finally:
            if outermost:
                del self._planned[relation]

    def _tried(self, sought: Sought, wanted: Sequence[Predicate], depth: int, *, keep: bool) -> Row:
        """Try with the parents that exist, then with each foreign key's parent made to fit, then with all of them."""
        keys = self._chooser.relevant(sought)
        missing = frozenset(key for key in keys if not self._parent_exists(sought, key, depth))
        levels = [missing, *(missing | {key} for key in keys if key not in missing), frozenset(keys)]
        reason = ""
        for relaxed in dict.fromkeys(levels):
            for _ in range(_TRIES):
                attempt = replace(sought, relaxed=relaxed, number=self._made + 1)
                values = self._solved(attempt, keys)
                if values is None:
                    break
                try:
                    return self._inserted(attempt, values, depth, keep=keep)
                except (UniqueViolation, ExclusionViolation) as error:
                    reason = f": {error.diag.message_primary}"
                    self._made += 7  # other texts, other ranges
                except NotNullViolation as error:  # only a partition says so
                    filled = sought.filled | {error.diag.column_name or ""}
                    if filled != sought.filled:
                        return self._tried(replace(sought, filled=filled), wanted, depth, keep=keep)
                    break
                except Error as error:
                    reason = f": {error.diag.message_primary or error}"
                    break
        table = sought.facts.table.relation
        raise NoRow(f"No row of {table} was found for which {in_words(wanted)}{reason}.")

    def _parent_exists(self, sought: Sought, key: ForeignKey, depth: int) -> bool:
        """Make a parent where there is none; not where that very table's row is being made already."""
        if self._chooser.parent_values(key, key.columns[0]):
            return True
        if key.table in self._planned or any(column in sought.fixed for column in key.columns):
            return False
        self._within(key.table, (), {}, depth=depth + 1, keep=True)
        return True

    def _solved(self, sought: Sought, keys: Sequence[ForeignKey]) -> dict[str, str | None] | None:
        planned = self._planned[sought.facts.table.relation]
        sought = replace(sought, fixed={**planned, **sought.fixed})
        choices: dict[str, list[str | None]] = self._chooser.choices(sought)
        choices |= self._pointing(sought, choices)
        choices |= {name: [value] for name, value in planned.items() if name in choices}
        ties = [parent_exists(key) for key in keys if key not in sought.relaxed]
        return self._solution(sought.facts, choices, [*sought.rules, *ties])

    def _solution(
        self, facts: TableFacts, choices: Choices, rules: Sequence[Rule], *, fewest: bool = False
    ) -> dict[str, str | None] | None:
        try:
            with self._conn.transaction():
                return solve(self._conn, facts, choices, rules, fewest=fewest)
        except ProgrammingError as error:  # a condition that can't be asked of a row alone
            raise NoRow(f"No row of {facts.table.relation} was found: {error.diag.message_primary}.") from error

    def _pointing(self, sought: Sought, choices: Choices) -> dict[str, list[str | None]]:
        """Return what foreign keys must be that point at a row being made: its key is planned here."""
        found: dict[str, list[str | None]] = {}
        for key in sought.relaxed:
            if key.table in self._planned and not any(column in sought.fixed for column in key.columns):
                for column, reference in zip(key.columns, key.references, strict=True):
                    found[column] = [self._plan(key.table, reference, choices, sought)]
        return found

    def _plan(self, relation: str, column: str, choices: Choices, sought: Sought) -> str | None:
        planned = self._planned[relation]
        if column not in planned:
            if relation == sought.facts.table.relation:
                planned[column] = choices[column][0]
            else:
                facts = self._facts.of(relation)
                other = Sought(facts, (), {}, sought.number)
                found = facts.table.column(column)
                planned[column] = self._chooser.values(other, found, asked=True)[0] if found else None
        return planned[column]

    def _inserted(self, sought: Sought, values: dict[str, str | None], depth: int, *, keep: bool) -> Row:
        """Insert the row, after the parents that its relaxed foreign keys still lack."""
        table = sought.facts.table
        with self._forgetting(), self._conn.transaction():
            for key in sorted(sought.relaxed, key=lambda key: key.columns):
                self._ensure_parent(key, values, depth)
            with self._conn.transaction(force_rollback=not keep):
                found = self._conn.execute(f"{insert_sql([Row(table, values)])} RETURNING {as_texts(table)}").fetchone()
        self._made += 1
        assert found is not None  # noqa: S101  # an INSERT without a trigger returns its row
        row = from_texts(table, found)
        self.log += [row] if keep else []
        return row

    def _ensure_parent(self, key: ForeignKey, values: Mapping[str, str | None], depth: int) -> None:
        wanted = {ref: values.get(column) for column, ref in zip(key.columns, key.references, strict=True)}
        if None in wanted.values() or key.table in self._planned:
            return
        table = self._facts.of(key.table).table
        if self.find(key.table, Row(table, wanted).itself()) is None:
            self._within(key.table, (), wanted, depth=depth + 1, keep=True)
