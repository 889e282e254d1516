"""`describe_schema`: what the database holds, in two steps, so that a large one does not fill the conversation."""

from typing import Annotated, Any

from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import CallToolResult
from pydantic import Field

from runtime.setup import likely
from runtime.source.catalog import load_catalog
from runtime.spec.nearest import did_you_mean
from runtime.spec.schema import Catalog, Table
from tools import sampling, schema_words
from tools.answer import Answer, Part, answered
from tools.hints import READS
from tools.services import Services
from tools.strict import StrictServer
from tools.untrusted import Marked, Untrusted, clean_name

PAGE = 40
MOST_TABLES = 6
MOST_COLUMNS = 80


class TableDetail(Part):
    """One table."""

    table: str = Field(description="schema.table, as specs name it.")
    kind: str
    rows: str
    columns: tuple[str, ...] = Field(description="name type; facts.")
    more_columns: int = Field(default=0, description="Columns not shown.")
    primary_key: tuple[str, ...] = ()
    unique: tuple[str, ...] = ()
    foreign_keys: tuple[str, ...] = ()
    referenced_by: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()
    address_like: tuple[str, ...] = Field(default=(), description="Looks like an address, and nobody approved it.")


class SchemaAnswer(Answer):
    """The overview, or the details of the tables asked for."""

    tables: tuple[str, ...] = Field(default=(), description="Overview: a line for each table.")
    more_tables: int = Field(default=0, description="Tables on later pages.")
    details: tuple[TableDetail, ...] = ()
    address_columns: tuple[str, ...] = Field(default=(), description="Approved: messages may go to these.")
    contacts: tuple[str, ...] = Field(default=(), description="Registered: contact('name') in SQL.")
    zone: str = Field(description="The project's time zone.")
    data: Marked | None = Field(default=None, description="Comments, and what values look like.")


def add_schema(server: StrictServer, services: Services) -> None:
    """Add describe_schema."""

    @server.tool(title="Describe the database", annotations=READS)
    def describe_schema(
        tables: Annotated[
            list[str],
            Field(description=f"Up to {MOST_TABLES} tables as schema.table, for details; empty for the overview."),
        ] = [],  # noqa: B006  # never changed; a default of the schema
        search: Annotated[str, Field(description="Overview: only tables with this word in a name or column.")] = "",
        page: Annotated[int, Field(ge=1, description="Overview: which page.")] = 1,
    ) -> Annotated[CallToolResult, SchemaAnswer]:
        """Read which tables, columns and addresses a workflow may use. Call it before writing a spec.

        First without arguments for the overview, then with the tables that the request is about: columns, types, keys,
        checks, comments, and what values look like (shapes, never values). Only tables that a person approved are here.
        Next: save_workflow.
        """
        catalog = load_catalog(services.source, services.ledger)
        if tables:
            return answered(_details(services, catalog, tables))
        return answered(_overview(catalog, search.strip(), page))


def _overview(catalog: Catalog, search: str, page: int) -> SchemaAnswer:
    found = [table for table in catalog.tables if _matches(table, search)]
    if not found:
        raise ToolError(_nothing(catalog, search))
    shown = found[(page - 1) * PAGE : page * PAGE]
    if not shown:
        raise ToolError(f"There is no page {page}; the last is {-(-len(found) // PAGE)}.")
    more = max(0, len(found) - page * PAGE)
    which = f" with {search!r}" if search else ""
    rest = f"page={page + 1} shows more. " if more else ""
    return SchemaAnswer(
        summary=f"{len(found)} approved table(s){which}, {len(catalog.address_columns)} approved address column(s).",
        next_step=f"{rest}Call describe_schema with the tables that matter, for their columns.",
        tables=tuple(map(schema_words.table_line, shown)),
        more_tables=more,
        data=_comments(shown),
        **_approved(catalog),
    )


def _details(services: Services, catalog: Catalog, names: list[str]) -> SchemaAnswer:
    if len(names) > MOST_TABLES:
        raise ToolError(f"{len(names)} tables at once; ask for at most {MOST_TABLES} a call.")
    chosen = [_table(catalog, name) for name in dict.fromkeys(names)]
    return SchemaAnswer(
        summary=f"{len(chosen)} table(s) in detail.",
        next_step="Write the spec with these names and call save_workflow (the language: get_status with guide=true).",
        details=tuple(_detail(table, catalog) for table in chosen),
        data=_data(services, chosen),
        **_approved(catalog),
    )


def _detail(table: Table, catalog: Catalog) -> TableDetail:
    shown = table.columns[:MOST_COLUMNS]
    return TableDetail(
        table=clean_name(table.relation),
        kind=table.kind,
        rows=schema_words.rows_words(table),
        columns=tuple(schema_words.column_line(table, column, catalog.address_columns) for column in shown),
        more_columns=len(table.columns) - len(shown),
        primary_key=tuple(map(clean_name, table.primary_key)),
        unique=tuple(", ".join(map(clean_name, key)) for key in table.unique),
        foreign_keys=schema_words.foreign_keys(table),
        referenced_by=schema_words.referenced_by(table, catalog),
        checks=schema_words.checks(table),
        address_like=_unapproved(table, catalog),
    )


def _unapproved(table: Table, catalog: Catalog) -> tuple[str, ...]:
    return tuple(
        f"{clean_name(column.name)} ({kind.value})"
        for column in table.columns
        if (kind := likely.address_kind(column)) and f"{table.relation}.{column.name}" not in catalog.address_columns
    )


def _data(services: Services, tables: list[Table]) -> Marked | None:
    """Return what the application's own people and users wrote: comments, and the shapes of values."""
    parts = {
        clean_name(table.relation): {
            "comments": _comments_of(table),
            "values": sampling.shapes(services.source, table) if table.kind in ("table", "partitioned") else {},
        }
        for table in tables
    }
    filled = {name: {key: said for key, said in part.items() if said} for name, part in parts.items()}
    some = {name: part for name, part in filled.items() if part}
    return Untrusted().mark(some) if some else None


def _comments(tables: list[Table]) -> Marked | None:
    said = {clean_name(table.relation): table.comment for table in tables if table.comment}
    return Untrusted().mark({"comments": said}) if said else None


def _comments_of(table: Table) -> dict[str, str]:
    of_columns = {column.name: column.comment for column in table.columns if column.comment}
    return ({"(table)": table.comment} if table.comment else {}) | of_columns


def _approved(catalog: Catalog) -> dict[str, Any]:
    addresses = [f"{clean_name(path)} ({kind.value})" for path, kind in sorted(catalog.address_columns.items())]
    contacts = [f"{clean_name(name)} ({contact['kind']})" for name, contact in sorted(catalog.contacts.items())]
    return {"address_columns": tuple(addresses), "contacts": tuple(contacts), "zone": catalog.zone}


def _matches(table: Table, search: str) -> bool:
    words = [table.relation, *(column.name for column in table.columns)]
    return any(search.lower() in word.lower() for word in words)


def _table(catalog: Catalog, name: str) -> Table:
    table = catalog.table(name)
    if table is not None:
        return table
    bare = [known.relation for known in catalog.tables if known.name == name]
    known = [table.relation for table in catalog.tables]
    fix = f"Did you mean {' or '.join(map(repr, bare))}?" if bare else did_you_mean(name, known)
    raise ToolError(
        f"Unknown table {name!r}, or nobody approved it. {fix} Call describe_schema without arguments for all of them; "
        "a person approves more with `tidings init`."
    )


def _nothing(catalog: Catalog, search: str) -> str:
    if catalog.tables:
        return f"No approved table has {search!r} in a name. Call describe_schema without `search` for all of them."
    return "No table is approved yet. Ask the person to run `tidings init` and approve the tables workflows may read."
