"""The statements that copy a shape into a scratch database, in an order in which each can be carried out.

Every statement is a piece of its own, so that what a server refuses is left out and said, and the rest still stands.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from runtime.rehearsal.clockwords import on_virtual_clock
from runtime.rehearsal.shape import FoundColumn, FoundConstraint, FoundRelation, FoundSequence, Shape
from runtime.rehearsal.user_types import TypeNames, type_pieces
from runtime.spec.render import qualified, quoted

_IDENTITY = {"a": "ALWAYS", "d": "BY DEFAULT"}
_KINDS = {
    "p": "primary key",
    "u": "unique key",
    "x": "exclusion",
    "c": "check",
    "f": "foreign key",
    "i": "unique index",
}


@dataclass(frozen=True)
class Piece:
    """One statement, what it makes in words, and what to do when the server refuses it."""

    what: str
    sql: str
    instead: str = ""
    instead_what: str = ""


@dataclass(frozen=True)
class Script:
    """The statements in order, and what was left out on purpose, in words."""

    pieces: tuple[Piece, ...]
    not_cloned: tuple[str, ...]


def write_script(shape: Shape, *, available: frozenset[str], version: int) -> Script:
    """Return the script for a scratch server of that version (as server_version_num) with those extensions."""
    return _Writer(shape, available, version).script()


class _Writer:
    def __init__(self, shape: Shape, available: frozenset[str], version: int) -> None:
        self._shape = shape
        self._version = version
        self._types = TypeNames(shape, available)
        self._relations = {relation.oid: relation for relation in shape.relations}
        self._notes = [f"{relation}: {what}" for relation, what in shape.left_out] + self._types.notes

    def script(self) -> Script:
        tables = [relation for relation in self._shape.relations if relation.kind not in {"v", "m"}]
        tables.sort(key=lambda table: not table.is_row_type)
        pieces = [
            *self._schemas(),
            *(Piece(what, text) for what, text in type_pieces(self._shape, self._types)),
            *(_sequence(found) for found in self._shape.sequences if not self._is_identity(found)),
            *(piece for table in tables for piece in (self._table(table), *self._defaults(table))),
            *self._constraints(),
            *(self._view(view) for view in self._shape.relations if view.kind in {"v", "m"}),
        ]
        return Script(tuple(pieces), tuple(self._notes))

    def _schemas(self) -> Iterator[Piece]:
        named = (self._shape.relations, self._shape.types, self._shape.sequences, self._shape.collations)
        names = {found.schema_name for group in named for found in group}
        names |= {schema for name, schema in self._shape.extensions.items() if name in self._types.extensions}
        for name in sorted(names - {"pg_catalog"}):
            yield Piece(f"schema {name}", f"CREATE SCHEMA IF NOT EXISTS {quoted(name)}")

    def _is_identity(self, found: FoundSequence) -> bool:
        return any(column.sequence == found.oid for column in self._shape.columns)

    def _table(self, table: FoundRelation) -> Piece:
        what, name = f"table {table.relation}", qualified(table.relation)
        split = f" PARTITION BY {table.partition_key}" if table.partition_key else ""
        if table.parent is not None:
            parent = qualified(self._relations[table.parent].relation)
            return Piece(what, f"CREATE TABLE {name} PARTITION OF {parent} {table.bound}{split}")
        columns = self._shape.columns_of(table.oid)
        full = ", ".join(self._column(table, column) for column in columns)
        plain = ", ".join(f"{quoted(column.name)} {self._types.of(column)}" for column in columns)
        return Piece(
            what,
            f"CREATE TABLE {name} ({full}){split}",
            instead=f"CREATE TABLE {name} ({plain}){split}",
            instead_what="it stands with its columns and their types alone",
        )

    def _column(self, table: FoundRelation, column: FoundColumn) -> str:
        parts = [quoted(column.name), self._types.of(column)]
        if column.collation and (collation := self._types.collation(column.collation)):
            parts.append(f"COLLATE {collation}")
        if column.generated and not self._needs_functions(column.default_oid, table, f"column {column.name}"):
            kept = "VIRTUAL" if column.generated == "v" and self._version >= 180000 else "STORED"  # noqa: PLR2004
            parts.append(f"GENERATED ALWAYS AS ({column.expression}) {kept}")
        if column.identity:
            sequence = next((s for s in self._shape.sequences if s.oid == column.sequence), None)
            options = f" ({_options(sequence)})" if sequence else ""
            parts.append(f"GENERATED {_IDENTITY[column.identity]} AS IDENTITY{options}")
        if column.required:
            parts.append("NOT NULL")
        return " ".join(parts)

    def _defaults(self, table: FoundRelation) -> Iterator[Piece]:
        """Partitions made later inherit the defaults, so they follow their table at once."""
        for column in self._shape.columns_of(table.oid):
            if column.expression is None or column.generated or table.parent is not None:
                continue
            what = f"default of {column.name}"
            if not self._needs_functions(column.default_oid, table, what):
                text = on_virtual_clock(column.expression)
                alter = f"ALTER TABLE {qualified(table.relation)} ALTER COLUMN {quoted(column.name)} SET DEFAULT"
                yield Piece(f"{table.relation}: {what}", f"{alter} {text}")

    def _constraints(self) -> Iterator[Piece]:
        order = {kind: place for place, kind in enumerate("puixcf")}
        for found in sorted(self._shape.constraints, key=lambda c: order[c.kind]):
            table = self._relations[found.relation]
            if self._needs_functions(found.oid, table, f"{_KINDS[found.kind]} {found.name}"):
                continue
            yield Piece(f"{table.relation}: {_KINDS[found.kind]} {found.name}", self._constraint(table, found))

    def _constraint(self, table: FoundRelation, found: FoundConstraint) -> str:
        definition = on_virtual_clock(found.definition)
        if found.kind == "i":
            return definition.replace(" ON ONLY ", " ON ", 1)  # of a partitioned table: with its partitions
        if found.kind == "f":
            definition = _deferrable(definition)
        return f"ALTER TABLE {qualified(table.relation)} ADD CONSTRAINT {quoted(found.name)} {definition}"

    def _view(self, view: FoundRelation) -> Piece:
        name = qualified(view.relation)
        columns = ", ".join(
            f"{quoted(column.name)} {self._types.of(column)}" for column in self._shape.columns_of(view.oid)
        )
        if view.kind == "m":
            self._notes.append(f"{view.relation}: the stored copy; it stands as a view, which is always fresh")
        definition = on_virtual_clock((view.definition or "").rstrip().rstrip(";"))
        return Piece(
            f"view {view.relation}",
            f"CREATE VIEW {name} AS {definition}",
            instead=f"CREATE TABLE {name} ({columns})",
            instead_what="it stands as a table, which the rehearsal fills",
        )

    def _needs_functions(self, oid: int | None, table: FoundRelation, what: str) -> bool:
        """Return whether something calls functions of the user's, which are not copied, and note it."""
        functions = self._shape.calls.get(oid or 0, [])
        if functions:
            self._notes.append(f"{table.relation}: {what}, because it calls {', '.join(functions)}")
        return bool(functions)


def _sequence(found: FoundSequence) -> Piece:
    name = qualified(f"{found.schema_name}.{found.name}")
    return Piece(
        f"sequence {found.schema_name}.{found.name}", f"CREATE SEQUENCE {name} AS {found.type} {_options(found)}"
    )


def _options(found: FoundSequence) -> str:
    bounds = f"MINVALUE {found.lowest} MAXVALUE {found.highest} START {found.start}"
    return f"INCREMENT {found.step} {bounds}{' CYCLE' if found.cycles else ''}"


def _deferrable(definition: str) -> str:
    """Let a transaction put off a foreign key: rows that point at each other can then be made. Checks stay the same."""
    text = definition.removesuffix(" NOT VALID")
    return text if "DEFERRABLE" in text or text.endswith("NOT ENFORCED") else f"{text} DEFERRABLE"
