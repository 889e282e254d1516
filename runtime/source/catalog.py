"""The catalog: the shape of the user's database as the connected role may see it, read in six set-based queries."""

from collections import defaultdict
from collections.abc import Iterable
from importlib import resources
from itertools import groupby
from typing import Any

from psycopg import Connection
from psycopg.rows import dict_row

from runtime.ledger.database import Ledger
from runtime.ledger.queries import load_queries
from runtime.source.fingerprint import fingerprint
from runtime.source.reader import Source
from runtime.spec.schema import AddressKind, Catalog, Column, ForeignKey, Table

_QUERIES = load_queries("runtime.source")


def read_catalog(conn: Connection[Any], *, everything: bool = False) -> Catalog:
    """Return every table and view, with the columns, that the connected role may read; nothing is approved in it yet.

    With `everything`, also what it may not read: the shape of a database is no secret to any login. Types are written
    schema-qualified where they are not built in, whatever the session's search_path.
    """
    with conn.transaction(force_rollback=True):
        conn.execute("SELECT set_config('search_path', 'pg_catalog', true)")
        relations = _rows(conn, "relations", everything=everything)
        oids = [row["oid"] for row in relations]
        columns = _columns(_rows(conn, "columns", oids=oids, everything=everything), _rows(conn, "enum_labels"))
        constraints = _by_table(_rows(conn, "constraints", oids=oids))
        unique = _by_table(_rows(conn, "unique_keys", oids=oids))
        leaves = _by_table(_rows(conn, "partitions", oids=oids))
    tables = tuple(
        _table(row, columns[row["oid"]], constraints[row["oid"]], unique[row["oid"]], leaves[row["oid"]])
        for row in relations
    )
    return Catalog(tables=tables, fingerprint=fingerprint(tables))


def load_catalog(source: Source, ledger: Ledger) -> Catalog:
    """Return what workflows may speak about: approved tables, address columns, contacts, functions and the zone."""
    project = {"project_id": ledger.project_id}
    with ledger.transaction() as conn:
        approved = {row["relation"] for row in _rows(conn, "approved_tables", **project)}
        addresses = {row["path"]: AddressKind(row["kind"]) for row in _rows(conn, "approved_addresses", **project)}
        contacts = {
            row["name"]: {"kind": row["kind"], "address": row["address"]} for row in _rows(conn, "contacts", **project)
        }
        zones = [row["zone"] for row in _rows(conn, "zone", **project)]
    with source.read() as conn:
        catalog = read_catalog(conn)
        functions = safe_functions(conn)
    tables = tuple(table for table in catalog.tables if table.relation in approved)
    readable = {f"{table.relation}.{column.name}" for table in tables for column in table.columns}
    return Catalog(
        tables=tables,
        address_columns={path: kind for path, kind in addresses.items() if path in readable},
        contacts=contacts,
        functions=functions,
        zone=zones[0] if zones else "UTC",
        fingerprint=fingerprint(tables),
    )


def safe_functions(conn: Connection[Any]) -> frozenset[str]:
    """Return the names of the functions a spec may call in this database; syntax such as COALESCE is not among them."""
    return frozenset(row["name"] for row in _rows(conn, "safe_functions", names=listed_functions()))


def listed_functions() -> list[str]:
    """Return our own list, which the database at hand may narrow."""
    text = resources.files("runtime.source").joinpath("functions.txt").read_text(encoding="utf-8")
    return [name for line in text.splitlines() if not line.startswith("#") for name in line.split()]


def _rows(conn: Connection[Any], query: str, **values: object) -> list[dict[str, Any]]:
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(_QUERIES[query], values).fetchall()


def _by_table(rows: Iterable[dict[str, Any]]) -> defaultdict[int, list[dict[str, Any]]]:
    return defaultdict(list, {oid: list(group) for oid, group in groupby(rows, key=lambda row: row["oid"])})


def _columns(rows: list[dict[str, Any]], labels: list[dict[str, Any]]) -> defaultdict[int, list[Column]]:
    of_enum = {row["enum"]: tuple(row["labels"]) for row in labels}
    columns: defaultdict[int, list[Column]] = defaultdict(list)
    for row in rows:
        oid, enum = row.pop("oid"), row.pop("enum")
        columns[oid].append(Column(**row, labels=of_enum.get(enum, ())))
    return columns


def _table(
    row: dict[str, Any],
    columns: list[Column],
    constraints: list[dict[str, Any]],
    unique: list[dict[str, Any]],
    leaves: list[dict[str, Any]],
) -> Table:
    return Table(
        schema_name=row["schema_name"],
        name=row["name"],
        kind=row["kind"],
        columns=tuple(columns),
        primary_key=tuple(name for c in constraints if c["kind"] == "p" for name in c["columns"]),
        unique=tuple(tuple(key["columns"]) for key in unique),
        foreign_keys=tuple(
            ForeignKey(columns=tuple(c["columns"]), table=c["target"], references=tuple(c["target_columns"]))
            for c in constraints
            if c["kind"] == "f"
        ),
        checks=tuple(_condition(c["definition"]) for c in constraints if c["kind"] == "c"),
        comment=row["comment"],
        estimated_rows=row["estimated_rows"] or sum(leaf["estimated_rows"] for leaf in leaves),
        row_security=row["row_security"],
        partitions=tuple(leaf["leaf"] for leaf in leaves),
    )


def _condition(definition: str) -> str:
    """Return what stands inside `CHECK ((…))`."""
    text = definition.removeprefix("CHECK ").removesuffix(" NOT VALID").removesuffix(" NO INHERIT")
    return text[1:-1] if text.startswith("((") else text
