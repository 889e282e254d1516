"""The first, read-only half of `tidings init`: what this database holds, and what the connected role may do here."""

from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import Connection, sql
from psycopg.rows import dict_row

from runtime.errors import NotAllowed, Temporary
from runtime.ledger.queries import load_queries
from runtime.postgres.address import parse_url, with_options, without_password
from runtime.setup import likely
from runtime.source.catalog import read_catalog
from runtime.spec.schema import AddressKind, Table

OLDEST = 140000
COUNT_UP_TO = 100_000
_QUERIES = load_queries("runtime.setup")


@dataclass(frozen=True)
class FoundTable:
    """A table with what it seems to be for, and what the connected role may do about it."""

    table: Table
    rows: int | None
    """Counted up to COUNT_UP_TO, estimated above; None when it could not be had quickly."""
    people: bool
    addresses: dict[str, AddressKind]
    events: tuple[likely.Event, ...]
    secret_columns: tuple[str, ...]
    owned: bool
    may_grant: bool
    row_security: bool
    restrictive: bool
    """A restrictive policy limits every role, whatever we add."""

    @property
    def relation(self) -> str:
        """Return schema.table."""
        return self.table.relation

    @property
    def column_names(self) -> tuple[str, ...]:
        """Return the names of the columns, in order."""
        return tuple(column.name for column in self.table.columns)


@dataclass(frozen=True)
class Found:
    """A database as its role sees it."""

    version: int
    version_name: str
    database: str
    user: str
    superuser: bool
    may_create_roles: bool
    may_create_schema: bool
    anybody_may_connect: bool
    replica: bool
    pooler: str
    """What stands between us and the server; empty when nothing does."""
    tables: tuple[FoundTable, ...]


def connect(url: str) -> Connection[Any]:
    """Connect for setting up: autocommit, names resolve in pg_catalog only. Says what to do when it can't."""
    try:
        return psycopg.connect(
            with_options(url, application_name="tidings setup"),
            autocommit=True,
            connect_timeout=10,
            prepare_threshold=None,
        )
    except psycopg.OperationalError as error:
        raise Temporary(
            f"No connection to {without_password(url)}: {first_line(error)}. "
            "Check host, port, database and password, and that this machine may connect (pg_hba.conf, firewall)."
        ) from error


def first_line(error: psycopg.Error) -> str:
    """Return what matters of a message about a failed connection: the server's own words where it had any."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = [line.rpartition("FATAL:")[2] for line in lines if "FATAL:" in line]
    return (said or lines or ["no reason given"])[0].rpartition(" failed: ")[2].strip().rstrip(".")


def look(url: str, *, everything: bool = False) -> Found:
    """Return what a database holds and allows; reads catalogs and counts rows, writes nothing.

    With `everything`, tables that the role may not read are in it too, and no rows are counted. Refuses a server older
    than 14, and one that can't be written to.
    """
    with connect(url) as conn:
        conn.read_only = True
        with conn.transaction(force_rollback=True):
            conn.execute(
                "SELECT set_config('search_path', 'pg_catalog', true), set_config('statement_timeout', '15s', true)"
            )
            server = rows(conn, "server")[0]
            _refuse(server)
            tables = survey(conn, everything=everything)
        between = pooler(conn, url)
    return Found(
        version=server["version"],
        version_name=server["version_name"].split()[0],
        database=server["database"],
        user=server["user"],
        superuser=server["superuser"],
        may_create_roles=server["may_create_roles"],
        may_create_schema=server["may_create_schema"],
        anybody_may_connect=server["anybody_may_connect"],
        replica=server["replica"],
        pooler=between,
        tables=tables,
    )


def survey(conn: Connection[Any], *, everything: bool) -> tuple[FoundTable, ...]:
    """Return the tables the connected role may read, with rows counted; or all there are, uncounted."""
    tables = read_catalog(conn, everything=everything).tables
    rights = {right["relation"]: right for right in rows(conn, "rights")}
    small = [table for table in tables if table.estimated_rows < COUNT_UP_TO]
    counted = {} if everything else _count(conn, small)
    return tuple(_found(table, rights[table.relation], counted) for table in tables)


def rows(conn: Connection[Any], query: str, **values: object) -> list[dict[str, Any]]:
    """Run one of the package's queries and return its rows by column name."""
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(_QUERIES[query], values).fetchall()


def run(conn: Connection[Any], query: str, **values: object) -> None:
    """Run one of the package's statements."""
    conn.execute(_QUERIES[query], values)


def _refuse(server: dict[str, Any]) -> None:
    if server["version"] < OLDEST:
        raise NotAllowed(
            f"This server runs PostgreSQL {server['version_name']}; Tidings needs 14 or newer. Upgrade it first."
        )
    if server["replica"]:
        raise NotAllowed("This server is a read-only replica; Tidings needs the primary. Give its address instead.")


def _found(table: Table, right: dict[str, Any], counted: dict[str, int]) -> FoundTable:
    return FoundTable(
        table=table,
        rows=counted.get(table.relation, table.estimated_rows or None),
        people=likely.is_people(table),
        addresses={column.name: kind for column in table.columns if (kind := likely.address_kind(column))},
        events=likely.events(table),
        secret_columns=likely.secret_columns(table),
        owned=right["owned"],
        may_grant=right["may_grant_select"] and right["may_grant_schema"] and _may_hook(table, right),
        row_security=right["row_security"],
        restrictive=right["restrictive"],
    )


def _may_hook(table: Table, right: dict[str, Any]) -> bool:
    return table.kind not in ("table", "partitioned") or bool(right["may_grant_trigger"])


def _count(conn: Connection[Any], tables: list[Table]) -> dict[str, int]:
    """Count the rows of tables in one statement, each up to a bound; views, which may be slow, are not counted."""
    some = [table for table in tables if table.kind in ("table", "partitioned")]
    if not some:
        return {}
    part = sql.SQL("SELECT {} AS relation, (SELECT count(*) FROM (SELECT FROM {} LIMIT {}) AS bounded) AS found")
    parts = [part.format(table.relation, sql.Identifier(table.schema_name, table.name), COUNT_UP_TO) for table in some]
    try:
        with conn.transaction():
            return dict(conn.execute(sql.SQL(" UNION ALL ").join(parts)).fetchall())
    except (psycopg.errors.QueryCanceled, psycopg.errors.InsufficientPrivilege):
        return {}


def pooler(conn: Connection[Any], url: str) -> str:
    """Return what pooler stands between this session and the server, empty when none does.

    It shows by what it can't imitate: it invents the number that a client would cancel its queries with. Two clients
    that are given the same server process at once show that it pools transactions.
    """
    first = conn.execute("SELECT pg_backend_pid()").fetchone()
    if first == (conn.info.backend_pid,):
        return ""
    with connect(url) as other:
        second = other.execute("SELECT pg_backend_pid()").fetchone()
    host = parse_url(url).get("host", "")
    mode = "in transaction mode" if first == second else "in session mode, as it seems"
    return f"a connection pooler at {host}, {mode}"
