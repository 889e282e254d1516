"""The row that changes, before and after: what a trigger asks of the one, of the other and of both."""

from collections.abc import Mapping, Sequence
from contextlib import suppress

from sqlglot import exp

from runtime.rehearsal.conditions import bound
from runtime.rehearsal.row import Predicate, Row, value_sql
from runtime.rehearsal.rows import NoRow
from runtime.rehearsal.wishes import predicates, wishes
from runtime.rehearsal.workshop import Workshop
from runtime.spec.model import ChangeTrigger, Operation
from runtime.spec.render import quoted
from runtime.spec.schema import Table
from runtime.spec.survey import operations

_TRIES = 6


class Pairs:
    """Finds trigger rows for one workflow in one clone. Nothing but parents is inserted."""

    def __init__(self, shop: Workshop, trigger: ChangeTrigger, table: Table) -> None:
        self._trigger = trigger
        self._rows = shop.rows
        self._facts = shop.facts.of(table.relation)
        self.table = self._facts.table
        self.operations = operations(trigger)
        self.deletes = self.operations == (Operation.DELETE,)
        self._now = shop.at.isoformat()
        self._event = {"event": shop.event}
        self._wishes = wishes(shop.found, deleted=self.deletes)

    @property
    def needs_both(self) -> bool:
        """Return whether the trigger compares the row with what it was, so that an INSERT can't start a run."""
        return bool(self._wishes.pair)

    def plan(self, fixed: Mapping[str, str | None]) -> tuple[Row, Row | None]:
        """Return a row in the state that starts a run, and what it was before an UPDATE that brought it there.

        Several are tried until one can have a before; None where none has. Raises NoRow.
        """
        first: Row | None = None
        avoided: list[Predicate] = []
        for _ in range(_TRIES):
            try:
                after = self._rows.plan(self.table.relation, *self._wanted(), *avoided, fixed=fixed)
            except NoRow:
                if first is None:
                    raise
                break
            if Operation.UPDATE not in self.operations:
                return after, None
            before = self.before(after)
            if before is not None:
                return after, before
            first = first or after
            avoided.append(self._another_than(after))
        assert first is not None  # noqa: S101  # the loop ended with a row or by raising
        return first, None

    def before(self, after: Row) -> Row | None:
        """Return what a row was before the UPDATE that brought it into the state; None when nothing was found."""
        wanted = [
            *self.state("NOT TRUE") * bool(self._trigger.becomes),
            *self._changed(after),
            *predicates(self._wishes.pair, {**self._event, "new": bound(after)}, now=self._now, own="old"),
        ]
        try:
            changes = self._rows.change(after, *wanted) if wanted else self.unrelated(after)
        except NoRow:
            return None
        return after.changed(changes) if changes else None

    def change(self, row: Row, *wanted: Predicate) -> dict[str, str | None]:
        """Return the fewest changes after which a row meets the conditions; raises NoRow."""
        return self._rows.change(row, *wanted)

    def state(self, answer: str) -> list[Predicate]:
        """Return what the trigger asks of the row alone, as one predicate with this answer; nothing if it asks none."""
        found = predicates(self._wishes.state, self._event, now=self._now)
        return [Predicate(" AND ".join(f"({p.condition})" for p in found), answer)] if found else []

    def while_broken(self, row: Row) -> dict[str, str | None]:
        """Return changes of the live row after which `while` does not hold any more; empty when none were found."""
        for predicate in predicates(self._wishes.while_, self._event, now=self._now):
            try:
                return self._rows.change(row, Predicate(predicate.condition, "NOT TRUE"))
            except NoRow:
                continue
        return {}

    def not_later(self) -> list[Predicate]:
        """Return predicates of rows that the trigger lets through and that what follows it turns away."""
        found = predicates(self._wishes.later, self._event, now=self._now)
        tests = [p for p in found if not p.condition.rstrip(")").endswith("IS NOT NULL")]
        return [Predicate(p.condition, "NOT TRUE") for p in tests]

    def staying(self, row: Row) -> dict[str, str | None]:
        """Return a change in a column that `becomes` compares after which it still holds; empty when none was found."""
        for name in sorted(self._watched() - set(self.table.primary_key)):
            with suppress(NoRow):
                return self._rows.change(row, *self.state("TRUE"), self._differs(row, [name], "NOT TRUE"))
        return {}

    def holds(self, row: Row) -> bool:
        """Return whether the row, as it stands in the clone, meets everything that is asked of it alone."""
        itself = Row(row.table, row.key).itself()
        return self._rows.find(row.table.relation, itself, *self._wanted()) is not None

    def unrelated(self, row: Row) -> dict[str, str | None]:
        """Return a change of a row in a column that the trigger does not look at; empty when there is none."""
        watched, table = self._watched(), self.table
        keys = {name for key in table.foreign_keys for name in key.columns} | set(table.primary_key)
        keys |= {name for rule in self._facts.keys for name in rule.columns}
        plain = [c.name for c in table.columns if not (c.generated or c.identity or c.name in keys | watched)]
        named = {name for check in self._facts.checks for name in check.columns}
        for name in sorted(plain, key=lambda name: name in named):
            try:
                changes = self._rows.change(row, self._differs(row, [name], "NOT TRUE"))
            except NoRow:
                continue
            if set(changes) == {name}:
                return changes
        return {}

    def _wanted(self) -> list[Predicate]:
        return [*self.state("TRUE"), *predicates(self._wishes.later, self._event, now=self._now)]

    def _watched(self) -> set[str]:
        parts = (*self._wishes.state, *self._wishes.pair)
        named = {column.name for part in parts for column in part.find_all(exp.Column)}
        return named | set(self._trigger.columns)

    def _changed(self, after: Row) -> list[Predicate]:
        return [self._differs(after, self._trigger.columns, "NOT TRUE")] if self._trigger.columns else []

    def _another_than(self, row: Row) -> Predicate:
        return self._differs(row, sorted(self._watched()), "NOT TRUE")

    def _differs(self, row: Row, names: Sequence[str], answer: str) -> Predicate:
        """Return the predicate whether all these columns are as in the row; compared as texts, which any type has."""
        columns = [column for column in row.table.columns if column.name in names]
        same = [
            f"{quoted(c.name)}::text IS NOT DISTINCT FROM {value_sql(c, row.values[c.name])}::text" for c in columns
        ]
        return Predicate(" AND ".join(same) or "true", answer)
