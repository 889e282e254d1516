"""What an application does in a scenario: statements, the rows that are there before, and both in words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from runtime.rehearsal.row import Row, delete_sql, insert_sql, row_sql, update_sql
from runtime.spec.render import qualified, quoted

_LONGEST = 40


@dataclass(frozen=True)
class Deed:
    """One thing an application does."""

    words: str
    seeds: tuple[Row, ...]
    """Rows that are there before it."""
    sql: str

    @property
    def undone(self) -> str:
        """Return the statements of the same thing, rolled back."""
        return f"BEGIN; {self.sql}; ROLLBACK"


def inserted(seeds: Sequence[Row], rows: Sequence[Row], around: Sequence[Row] = ()) -> Deed:
    """Return the deed of one INSERT of rows of one table, in one transaction with those that point at them."""
    sql = insert_sql(rows)
    if around:
        statements = "; ".join(insert_sql([row]) for row in around)
        sql = f"SET CONSTRAINTS ALL DEFERRED; {sql}; {statements}"
    return Deed(f"INSERT INTO {rows[0].table.relation}: {_several(rows)}", tuple(seeds), sql)


def updated(seeds: Sequence[Row], row: Row, changes: Mapping[str, str | None]) -> Deed:
    """Return the deed of one UPDATE of one row, which must be among the seeds."""
    if not changes:  # an application that saves a row as it is
        same = dict(row.key)
        return Deed(f"UPDATE {row.table.relation} without a change", tuple(seeds), update_sql([row], same))
    said = ", ".join(f"{name} {_short(row.values[name])} → {_short(value)}" for name, value in changes.items())
    return Deed(f"UPDATE {row.table.relation}: {said}", tuple(seeds), update_sql([row], changes))


def updated_together(seeds: Sequence[Row], pairs: Sequence[tuple[Row, Row]]) -> Deed | None:
    """Return the deed of one UPDATE of several rows, from before to after; None where rows have no key to join by."""
    table = pairs[0][0].table
    changed = [c.name for c in table.columns if any(b.values[c.name] != a.values[c.name] for b, a in pairs)]
    if not table.primary_key or not changed or set(changed) & set(table.primary_key):
        return None
    names = [*table.primary_key, *changed]
    rows = [", ".join(row_sql(table, {name: after.values[name] for name in names}).values()) for _, after in pairs]
    order = list(row_sql(table, dict.fromkeys(names)))
    sets = ", ".join(f"{quoted(name)} = v.{quoted(name)}" for name in changed)
    where = " AND ".join(f"t.{quoted(name)} = v.{quoted(name)}" for name in table.primary_key)
    values = ", ".join(f"({row})" for row in rows)
    sql = (
        f"UPDATE {qualified(table.relation)} AS t SET {sets}"
        f" FROM (VALUES {values}) AS v({', '.join(map(quoted, order))}) WHERE {where}"
    )
    return Deed(f"UPDATE {table.relation}: {len(pairs)} rows in one statement", tuple(seeds), sql)


def deleted(seeds: Sequence[Row], row: Row) -> Deed:
    """Return the deed of one DELETE of a row, which must be among the seeds."""
    return Deed(f"DELETE FROM {row.table.relation}: {_said(row)}", tuple(seeds), delete_sql(row))


def differences(before: Row, after: Row) -> dict[str, str | None]:
    """Return what changes from one row to the other."""
    writable = [c.name for c in after.table.columns if not c.generated]
    return {name: after.values[name] for name in writable if after.values[name] != before.values[name]}


def _several(rows: Sequence[Row]) -> str:
    return _said(rows[0]) if len(rows) == 1 else f"{len(rows)} rows in one statement"


def _said(row: Row) -> str:
    """Return a row in few words: its first columns that hold something."""
    filled = [(name, value) for name, value in row.values.items() if value is not None]
    return ", ".join(f"{name} {_short(value)}" for name, value in filled[:5])


def _short(value: str | None) -> str:
    if value is None:
        return "NULL"
    return value if len(value) <= _LONGEST else f"{value[: _LONGEST - 1]}…"
