"""What a table demands of its rows, read from a clone: checks, partition bounds, keys, exclusions, domains."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from psycopg import Connection
from psycopg.rows import dict_row

from runtime.errors import NotFound
from runtime.ledger.queries import load_queries
from runtime.source.catalog import read_catalog
from runtime.spec.render import qualified
from runtime.spec.schema import Catalog, ForeignKey, Table

_QUERIES = load_queries("runtime.rehearsal", "rows.sql")
_PARTS = ("rules", "keys", "generated", "shapes", "partition_parents")


@dataclass(frozen=True)
class Rule:
    """A condition over the bare columns of one row that must hold."""

    text: str
    """SQL that is true when the rule holds; never NULL."""
    columns: frozenset[str]
    literals: str
    """Where candidates are looked for: the condition as it was written."""


@dataclass(frozen=True)
class ColumnShape:
    """What stands behind a column's type."""

    domain_rules: str = ""
    members: tuple[str, ...] = ()
    holds: str = ""
    """The subtype of a range."""
    labels: tuple[str, ...] = ()
    """Of an enum, or of the enum an array is made of."""


@dataclass(frozen=True)
class TableFacts:
    """A table and everything its rows must honour."""

    table: Table
    checks: tuple[Rule, ...] = ()
    keys: tuple[Rule, ...] = ()
    generated: Mapping[str, str] = field(default_factory=dict)
    shapes: Mapping[str, ColumnShape] = field(default_factory=dict)


@dataclass(frozen=True)
class Facts:
    """All tables of a clone."""

    catalog: Catalog
    tables: Mapping[str, TableFacts]
    views: Mapping[str, str] = field(default_factory=dict)
    """What each view selects, as Postgres writes it back."""

    def of(self, relation: str) -> TableFacts:
        """Return what is known of schema.table, or raise NotFound."""
        if relation not in self.tables:
            raise NotFound(f"{relation!r} is not in the rehearsal's copy. Name a table that the workflow reads.")
        return self.tables[relation]


def read_facts(conn: Connection[Any]) -> Facts:
    """Return the facts of every table in a clone; the same for all copies of it."""
    catalog = read_catalog(conn, everything=True)
    relations = [table.relation for table in catalog.tables if table.kind in {"table", "partitioned"}]
    with conn.transaction(force_rollback=True), conn.cursor(row_factory=dict_row) as cursor:
        cursor.execute("SELECT set_config('search_path', 'pg_catalog', true)")
        found = cursor.execute(_QUERIES["oids"], {"relations": relations}).fetchall()
        names = {row["oid"]: row["relation"] for row in found}
        views = {row["relation"]: row["definition"] for row in cursor.execute(_QUERIES["views"]).fetchall()}
        parts = {
            query: _by_relation(names, cursor.execute(_QUERIES[query], {"oids": list(names)}).fetchall())
            for query in _PARTS
        }
    tables = {relation: catalog.table(relation) for relation in names.values()}
    facts = {
        relation: _facts(table, {part: rows[relation] for part, rows in parts.items()})
        for relation, table in tables.items()
        if table is not None
    }
    return Facts(catalog, facts, views)


def named_in(text: str, names: Iterable[str]) -> frozenset[str]:
    """Return which columns a condition names; rather one too many than one too few."""
    return frozenset(
        name
        for name in names
        if re.search(rf"(?<![\w$]){re.escape(name.replace(chr(34), chr(34) * 2))}(?![\w$])", text)
    )


def _by_relation(names: Mapping[int, str], rows: Sequence[dict[str, Any]]) -> defaultdict[str, list[dict[str, Any]]]:
    found: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        found[names[row["relation"]]].append(row)
    return found


def _facts(table: Table, found: Mapping[str, Sequence[dict[str, Any]]]) -> TableFacts:
    names = [column.name for column in table.columns]
    more = [
        ForeignKey(columns=tuple(row["columns"]), table=row["target"], references=tuple(row["target_columns"]))
        for row in found["partition_parents"]
    ]
    return TableFacts(
        table=table.model_copy(update={"foreign_keys": (*table.foreign_keys, *more)}) if more else table,
        checks=tuple(
            _check(row["expression"], row["columns"] or named_in(row["expression"], names)) for row in found["rules"]
        ),
        keys=tuple(_key(table, row, names) for row in found["keys"]),
        generated={row["name"]: row["expression"] for row in found["generated"]},
        shapes={
            row["name"]: ColumnShape(row["domain_rules"], tuple(row["members"]), row["holds"], tuple(row["labels"]))
            for row in found["shapes"]
        },
    )


def _check(expression: str, columns: Iterable[str]) -> Rule:
    """Return the rule of a check, which passes on NULL."""
    return Rule(f"({expression}) IS NOT FALSE", frozenset(columns), expression)


def _key(table: Table, row: Mapping[str, Any], names: Sequence[str]) -> Rule:
    """Return the rule that no row of the table has what this one would have.

    The same expressions are read twice: over the table's rows, and, in a SELECT without FROM, over the row to be.
    """
    parts = row["expressions"]
    values = ", ".join(f'{part} AS "k{place}"' for place, part in enumerate(parts))
    where = f" WHERE {row['predicate']}" if row["predicate"] else ""
    alike = "IS NOT DISTINCT FROM" if row["nulls_alike"] else "="
    operators = row["operators"] or [alike] * len(parts)
    same = " AND ".join(f'there."k{place}" {operator} here."k{place}"' for place, operator in enumerate(operators))
    text = (
        f"NOT EXISTS (SELECT FROM (SELECT {values} FROM {qualified(table.relation)}{where}) AS there,"
        f" (SELECT {values}{where}) AS here WHERE {same})"
    )
    written = " ".join([*parts, row["predicate"] or ""])
    return Rule(text, named_in(written, names), row["predicate"] or "")
