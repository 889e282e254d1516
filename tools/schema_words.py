"""Tables in few words: a line for each column, and a line for each table of the overview."""

import re
from collections.abc import Mapping

from runtime.setup import likely
from runtime.spec.schema import AddressKind, Catalog, Column, Table
from tools.untrusted import clean, clean_name, cut

_SHORT_TYPES = {
    "timestamp with time zone": "timestamptz",
    "timestamp without time zone": "timestamp",
    "character varying": "varchar",
    "double precision": "float8",
}
_TEXT_CAST = re.compile(r"::(text|character varying|bpchar)(\[\])?")
"""Postgres writes these into every CHECK on a text; they say nothing to a reader."""
_MOST_LABELS = 30
_LONGEST_CHECK = 300


def column_line(table: Table, column: Column, addresses: Mapping[str, AddressKind]) -> str:
    """Return `name type; …` with whatever matters for writing SQL about the column."""
    facts = ["nullable" if column.nullable else "not null"]
    facts += ["primary key"] if column.name in table.primary_key else []
    if column.labels:
        facts.append(f"one of {labels(column.labels)}")
    facts += [
        f"references {clean_name(key.table)}.{clean_name(key.references[0])}"
        for key in table.foreign_keys
        if key.columns == (column.name,)
    ]
    facts += ["generated"] if column.generated or column.identity else []
    kind = addresses.get(f"{table.relation}.{column.name}")
    facts += [f"approved {kind.value} address"] if kind else []
    return f"{clean_name(column.name)} {type_name(column)}; {', '.join(facts)}"


def type_name(column: Column) -> str:
    """Return a type as people write it."""
    name = clean_name(column.type)
    for long, short in _SHORT_TYPES.items():
        name = name.replace(long, short)
    return name


def labels(values: tuple[str, ...]) -> str:
    """Return the labels of an enum in their own order, which is also how they compare."""
    shown = " | ".join(clean_name(value) for value in values[:_MOST_LABELS])
    return shown + (f" and {len(values) - _MOST_LABELS} more" if len(values) > _MOST_LABELS else "")


def checks(table: Table) -> tuple[str, ...]:
    """Return the table's CHECK conditions."""
    return tuple(cut(_TEXT_CAST.sub("", " ".join(clean(check).split())), _LONGEST_CHECK) for check in table.checks)


def foreign_keys(table: Table) -> tuple[str, ...]:
    """Return the references of several columns at once; those of one stand with their column."""
    return tuple(
        f"{_names(key.columns)} references {clean_name(key.table)} ({_names(key.references)})"
        for key in table.foreign_keys
        if len(key.columns) > 1
    )


def rows_words(table: Table) -> str:
    """Return how many rows a table has, as the server estimates."""
    return f"~{table.estimated_rows:,} rows" if table.estimated_rows else "size unknown"


def table_line(table: Table) -> str:
    """Return a table of the overview on one line: size, key, references, people, states."""
    facts = [rows_words(table), f"{len(table.columns)} columns"]
    facts += [] if table.kind == "table" else [table.kind]
    facts.append(f"key {', '.join(map(clean_name, table.primary_key))}" if table.primary_key else "no primary key")
    targets = sorted({clean_name(key.table) for key in table.foreign_keys})
    facts += [f"references {', '.join(targets)}"] if targets else []
    facts += ["people"] if likely.is_people(table) else []
    events = [clean_name(event.column) for event in likely.events(table)][:6]
    facts += [f"changes show in {', '.join(events)}"] if events else []
    return f"{clean_name(table.relation)}: {'; '.join(facts)}"


def referenced_by(table: Table, catalog: Catalog) -> tuple[str, ...]:
    """Return who points at a table: `schema.table.column`."""
    return tuple(
        f"{clean_name(other.relation)}.{_names(key.columns)}"
        for other in catalog.tables
        for key in other.foreign_keys
        if key.table == table.relation
    )


def _names(names: tuple[str, ...]) -> str:
    return ", ".join(map(clean_name, names))
