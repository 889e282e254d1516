"""The shape of the user's database as data: what a workflow may speak about. `runtime/source` reads it."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """A value."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class Column(Frozen):
    """A column of a table, or of a query's result."""

    name: str
    type: str
    """As Postgres writes it (`format_type`), schema-qualified where the type is not built in."""
    nullable: bool = True
    base: str = ""
    """The built-in type under a domain or enum (`text` for an enum); equal to `type` otherwise; empty when unknown."""
    labels: tuple[str, ...] = ()
    """The labels of an enum, in order."""
    default: str = ""
    generated: bool = False
    identity: bool = False
    comment: str = ""


class ForeignKey(Frozen):
    """A reference to another table."""

    columns: tuple[str, ...]
    table: str
    references: tuple[str, ...]


class AddressKind(StrEnum):
    """What an address column holds."""

    EMAIL = "email"
    PHONE = "phone"
    SLACK = "slack"


class Table(Frozen):
    """A table, partitioned table, view or materialised view of the user's database."""

    schema_name: str
    name: str
    kind: str = "table"
    """table, partitioned, view or materialized."""
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...] = ()
    """Empty when there is none."""
    unique: tuple[tuple[str, ...], ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    checks: tuple[str, ...] = ()
    """CHECK expressions, as `pg_get_constraintdef` writes them, without the word CHECK."""
    comment: str = ""
    estimated_rows: int = 0
    row_security: bool = False
    partitions: tuple[str, ...] = ()
    """Its partitions and theirs, as schema.table."""

    @property
    def relation(self) -> str:
        """Return schema.table, unquoted: the name that specs use."""
        return f"{self.schema_name}.{self.name}"

    def column(self, name: str) -> Column | None:
        """Return the column of that name, if there is one."""
        return next((c for c in self.columns if c.name == name), None)


class Catalog(Frozen):
    """Everything a workflow may name, with what a person approved of it."""

    tables: tuple[Table, ...]
    address_columns: dict[str, AddressKind] = {}
    """`schema.table.column` → kind, as approved by a person."""
    contacts: dict[str, dict[str, str]] = {}
    """Contact name → {"kind": "email", "address": …}, as registered by a person."""
    functions: frozenset[str] = frozenset()
    """Lower-case names of built-in functions that a spec may call (non-volatile, on the allow-list)."""
    zone: str = "UTC"
    """The project's zone."""
    fingerprint: str = ""
    """A digest of the shape, without row counts and comments."""

    def table(self, relation: str) -> Table | None:
        """Return the table named schema.table; a bare name is looked up in `public`."""
        wanted = relation if "." in relation else f"public.{relation}"
        return next((t for t in self.tables if t.relation == wanted), None)
