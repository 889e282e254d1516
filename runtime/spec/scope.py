"""What SQL names can mean at a place: relations and their columns, frames of a query, the language around it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from runtime.spec.schema import Column, Table

RESERVED = frozenset({"new", "old", "live", "item", "event", "recipient", "run"})
"""Names that the language gives a meaning; no alias, CTE or step may take them."""


@dataclass(frozen=True)
class Field:
    """A column that a relation offers."""

    name: str
    nullable: bool = True
    column: Column | None = None
    """The table's column, when it is passed through unchanged: its type, labels and so on."""
    origins: frozenset[str] | None = None
    """The columns (`schema.table.column`) and contacts (`contact:name`) its values can come from, when nothing but
    COALESCE, CASE, NULLIF, lower and trim stands between; None when anything else does."""


@dataclass(frozen=True)
class Relation:
    """Something that stands in FROM, or a row of the language such as `new`."""

    fields: Mapping[str, Field]
    is_open: bool = False
    """It may have columns that are not known here."""
    table: str = ""
    """schema.table, for a table of the catalog."""
    row: str = ""
    """new, old, live, item or event, for a row of the language."""

    def outer(self) -> "Relation":
        """Return it as the optional side of an outer join offers it."""
        return replace(self, fields={name: replace(f, nullable=True) for name, f in self.fields.items()})

    def renamed(self, columns: list[str]) -> "Relation":
        """Return it with its first columns renamed, as in `AS t(a, b)`."""
        old = list(self.fields.values())
        names = columns + [f.name for f in old[len(columns) :]]
        if self.is_open and len(columns) > len(old):
            old += [Field(name) for name in columns[len(old) :]]
        fields = {name: replace(f, name=name) for name, f in zip(names, old, strict=False)}
        return Relation(fields, self.is_open and not columns)


@dataclass
class Frame:
    """The names that one SELECT's FROM brings, inside those of the queries around it."""

    parent: "Frame | None" = None
    relations: dict[str, Relation] = field(default_factory=dict)
    ctes: dict[str, Relation] = field(default_factory=dict)
    merged: set[str] = field(default_factory=set)
    """Columns that USING or NATURAL made one."""

    def cte(self, name: str) -> Relation | None:
        """Return the CTE of that name that is visible here."""
        if name in self.ctes:
            return self.ctes[name]
        return self.parent.cte(name) if self.parent else None

    def relation(self, name: str) -> Relation | None:
        """Return the relation of that alias, of this query or of one around it."""
        if name in self.relations:
            return self.relations[name]
        return self.parent.relation(name) if self.parent else None


@dataclass(frozen=True)
class Surroundings:
    """What the language offers at the place of a fragment."""

    rows: Mapping[str, Relation] = field(default_factory=dict)
    """new, old, live, item, event: those that exist there."""
    missing: Mapping[str, str] = field(default_factory=dict)
    """Reserved name → why it does not exist there."""
    queries: Mapping[str, Relation] = field(default_factory=dict)
    """Results of earlier steps, as tables."""
    later: frozenset[str] = frozenset()
    """Names of steps that come later."""
    bare: Relation | None = None
    """The row whose columns are written without a prefix, in `becomes`."""
    pure: bool = False
    """A condition on the row alone: no table, no subquery, no clock."""


@dataclass
class Uses:
    """What a fragment names."""

    tables: set[str] = field(default_factory=set)
    columns: set[str] = field(default_factory=set)
    """schema.table.column, of tables in FROM."""
    rows: dict[str, set[str]] = field(default_factory=dict)
    """Row of the language → columns named; `becomes` counts its bare columns as ''."""
    queries: set[str] = field(default_factory=set)
    now: bool = False


def table_relation(table: Table) -> Relation:
    """Return a catalog table as it stands in FROM."""
    fields = {c.name: table_field(table, c, nullable=c.nullable) for c in table.columns}
    return Relation(fields, table=table.relation)


def row_relation(name: str, table: Table, *, absent: bool) -> Relation:
    """Return the row `new`, `old` or `live`; `absent` says that there may be none, so that all is NULL."""
    fields = {c.name: table_field(table, c, nullable=absent or c.nullable) for c in table.columns}
    return Relation(fields, row=name)


def table_field(table: Table, column: Column, *, nullable: bool) -> Field:
    """Return a table's column as a field that comes from itself."""
    return Field(column.name, nullable, column, frozenset({f"{table.relation}.{column.name}"}))


def event_relation() -> Relation:
    """Return the row `event`: what happened, with the instant `at`."""
    at = Column(name="at", type="timestamp with time zone", nullable=False, base="timestamp with time zone")
    return Relation({"at": Field("at", nullable=False, column=at)}, row="event")


def relation_of(fields: Iterable[Field], *, is_open: bool = False) -> Relation:
    """Return a derived relation with these columns."""
    return Relation({f.name: f for f in fields}, is_open)
