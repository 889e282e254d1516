"""The shape of tables in the user's database, as far as a copy needs it: from pg_catalog, which no role is denied."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from psycopg import Connection
from psycopg.rows import class_row, dict_row

from runtime.ledger.queries import load_queries

_QUERIES = load_queries("runtime.rehearsal")
_Row = TypeVar("_Row")


@dataclass(frozen=True)
class FoundRelation:
    """A table, partition, view or foreign table."""

    oid: int
    schema_name: str
    name: str
    kind: str
    """As pg_class.relkind: r, p, v, m, f."""
    partition_key: str | None
    parent: int | None
    """The OID of the partitioned table it is a partition of."""
    bound: str | None
    definition: str | None
    """A view's SELECT."""
    is_row_type: bool
    """Its row type is a column's type somewhere."""

    @property
    def relation(self) -> str:
        """Return schema.table."""
        return f"{self.schema_name}.{self.name}"


@dataclass(frozen=True)
class FoundColumn:
    """A column."""

    relation: int
    name: str
    type_oid: int
    type: str
    plain: str
    required: bool
    generated: str
    identity: str
    default_oid: int | None
    expression: str | None
    """The default, or what a generated column computes."""
    collation: int | None
    sequence: int | None


@dataclass(frozen=True)
class FoundType:
    """An enum, domain, composite or range of the user's, or a type that an extension brought."""

    oid: int
    schema_name: str
    name: str
    kind: str
    """As pg_type.typtype: e, d, c, r, b."""
    required: bool
    expression: str | None
    base: str | None
    collation: int | None
    subtype: str | None
    labels: list[str]
    attributes: list[str]
    checks: list[str]
    extension: str | None


@dataclass(frozen=True)
class FoundConstraint:
    """A constraint, or a unique index that stands for none."""

    oid: int
    relation: int
    name: str
    definition: str
    kind: str = "i"
    """As pg_constraint.contype: p, u, x, c, f; i for an index."""


@dataclass(frozen=True)
class FoundSequence:
    """A sequence."""

    oid: int
    schema_name: str
    name: str
    type: str
    start: int
    step: int
    lowest: int
    highest: int
    cycles: bool


@dataclass(frozen=True)
class FoundCollation:
    """A collation."""

    oid: int
    schema_name: str
    name: str
    provider: str
    deterministic: bool
    details: dict[str, Any]


@dataclass(frozen=True)
class Shape:
    """Everything a copy of some relations is made of."""

    relations: tuple[FoundRelation, ...]
    columns: tuple[FoundColumn, ...]
    types: tuple[FoundType, ...]
    collations: tuple[FoundCollation, ...]
    sequences: tuple[FoundSequence, ...]
    constraints: tuple[FoundConstraint, ...]
    calls: dict[int, list[str]]
    """OID of a default, constraint or index → functions of the user's that it calls."""
    extensions: dict[str, str]
    """Name → schema."""
    left_out: tuple[tuple[str, str], ...]
    """Relation and what acts on it and is never copied."""

    def columns_of(self, relation: int) -> list[FoundColumn]:
        """Return a relation's columns, in order."""
        return [column for column in self.columns if column.relation == relation]


def read_shape(conn: Connection[Any], relations: Sequence[str]) -> Shape:
    """Return the shape of the named relations (schema.table) and of all they need; unknown names are skipped.

    Reads pg_catalog only, so the role needs no right on the tables. Leaves no trace in the session.
    """
    with conn.transaction(force_rollback=True):
        conn.execute("SELECT set_config('search_path', 'pg_catalog', true)")
        oids = [oid for (oid,) in conn.execute(_QUERIES["closure"], {"relations": list(relations)})]
        columns = _rows(conn, FoundColumn, "columns", oids=oids)
        types = _rows(conn, FoundType, "types", oids=oids)
        identities = [column.sequence for column in columns if column.sequence]
        collations = [column.collation for column in columns] + [found.collation for found in types]
        type_oids = [found.oid for found in types]
        extensions = _dicts(conn, "extensions", oids=oids, types=type_oids)
        return Shape(
            relations=_rows(conn, FoundRelation, "relations", oids=oids),
            columns=columns,
            types=types,
            collations=_rows(conn, FoundCollation, "collations", oids=collations),
            sequences=_rows(conn, FoundSequence, "sequences", oids=oids, identities=identities),
            constraints=(
                *_rows(conn, FoundConstraint, "constraints", oids=oids),
                *_rows(conn, FoundConstraint, "unique_indexes", oids=oids),
            ),
            calls={row["oid"]: row["functions"] for row in _dicts(conn, "calls", oids=oids)},
            extensions={row["name"]: row["schema_name"] for row in extensions},
            left_out=tuple((row["relation"], row["what"]) for row in _dicts(conn, "left_out", oids=oids)),
        )


def available_extensions(conn: Connection[Any]) -> frozenset[str]:
    """Return the names of the extensions that a server could install."""
    return frozenset(row["name"] for row in _dicts(conn, "available_extensions"))


def _rows(conn: Connection[Any], kind: type[_Row], query: str, **values: object) -> tuple[_Row, ...]:
    with conn.cursor(row_factory=class_row(kind)) as cursor:
        return tuple(cursor.execute(_QUERIES[query], values).fetchall())


def _dicts(conn: Connection[Any], query: str, **values: object) -> list[dict[str, Any]]:
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(_QUERIES[query], values).fetchall()
