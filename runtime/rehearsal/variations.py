"""Other values for a trigger row: for what can't be read backwards from the SQL, such as sums, and so must be tried."""

import itertools
from collections.abc import Iterator

from runtime.rehearsal.row import Predicate, Row
from runtime.rehearsal.rows import Rows
from runtime.spec.survey import Survey

_MOST, _EACH = 60, 12


def variations(found: Survey, rows: Rows, row: Row) -> Iterator[dict[str, str | None]]:
    """Yield changes of a row in the columns that the workflow's SQL names, the likeliest first, at most 60."""
    named: set[str] = set()
    for fragment in found.fragments.values():
        for name in ("", "new", "live", "old"):
            named |= fragment.uses.rows.get(name, set())
    fixed = {name for key in row.table.foreign_keys for name in key.columns} | set(row.table.primary_key)
    columns = [c.name for c in row.table.columns if c.name in named - fixed and not c.generated]
    written = " ".join(fragment.tree.sql("postgres") for fragment in found.fragments.values())
    values = rows.likely(row, columns, Predicate(written))
    lists = [list(enumerate(values[name][:_EACH])) for name in columns]
    chosen = itertools.islice(itertools.product(*lists), _EACH**4)
    for combination in sorted(chosen, key=lambda one: sum(place for place, _ in one))[1 : _MOST + 1]:
        pairs = zip(columns, combination, strict=True)
        yield {name: value for name, (_, value) in pairs if value != row.values[name]}
