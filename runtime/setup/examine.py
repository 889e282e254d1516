"""The doctor's look at the tables that a person approved: grants, row security, shape, and what our roles may do."""

from collections.abc import Collection, Iterator
from typing import Any

from psycopg import Connection

from runtime.setup import grants, likely
from runtime.setup.finding import Finding, Level
from runtime.setup.look import FoundTable, rows, survey
from runtime.setup.names import POLICY, Roles
from runtime.setup.plan import read_before


def examine_tables(installer: Connection[Any], roles: Roles) -> Iterator[Finding]:
    """Compare what is with what the approved tables need, seen by the installer, who knows every shape."""
    before = read_before(installer)
    found = {table.relation: table for table in survey(installer, everything=True)}
    gone = sorted(before.approved - set(found))
    if gone:
        yield Finding(
            Level.WARNING, "gone", f"Approved, but no longer there: {', '.join(gone)}.", "Run `tidings init` again."
        )
    approved = [found[relation] for relation in sorted(before.approved & set(found))]
    granted = frozenset(grants.Grant(**row) for row in rows(installer, "granted", names=list(roles)))
    missing = grants.statements(grants.needed(approved, roles) - granted, roles)
    if missing:
        objects = ", ".join(sorted({change.object for change in missing}))
        statements = tuple(f"{change.sql};" for change in missing)
        what = f"{len(missing)} grant(s) are missing on {objects}."
        yield Finding(Level.PROBLEM, "grants", what, "Run `tidings init <DATABASE_URL>` again, or the SQL.", statements)
    else:
        yield Finding(Level.OK, "grants", f"{len(approved)} table(s) can be read and watched.")
    yield from _exposed(approved, granted, roles)
    yield from _row_security(approved, {row["relation"] for row in rows(installer, "policies", policy=POLICY)}, roles)
    yield from _shape(approved, found.values(), before.approved | before.declined)


def _exposed(approved: list[FoundTable], granted: frozenset[grants.Grant], roles: Roles) -> Iterator[Finding]:
    """Name columns that look secret and have become readable: they came after the table was granted as a whole."""
    whole = {grant.object for grant in granted if grant.role == roles.reader and grant.kind == "table"}
    for table in approved:
        if table.relation in whole and table.secret_columns:
            listed = ", ".join(table.secret_columns)
            what = f"{table.relation} can be read as a whole, and these columns look secret: {listed}."
            yield Finding(
                Level.WARNING, "secret-readable", what, "Run `tidings init` again; it grants column by column."
            )


def _row_security(approved: list[FoundTable], policies: set[str], roles: Roles) -> Iterator[Finding]:
    for table in approved:
        if table.row_security and table.relation not in policies:
            policy = grants.policy(table.relation, roles)
            what = f"Row security hides every row of {table.relation} from the reader."
            yield Finding(
                Level.PROBLEM, "row-security", what, "Have the table's owner run the SQL.", (f"{policy.sql};",)
            )
        elif table.row_security and table.restrictive:
            what = f"A restrictive policy on {table.relation} may hide rows from the reader."
            yield Finding(Level.WARNING, "row-security", what, "Check that the policy lets the reader through.")


def _shape(approved: list[FoundTable], every: Collection[FoundTable], decided: frozenset[str]) -> Iterator[Finding]:
    keyless = [t.relation for t in approved if t.table.kind in ("table", "partitioned") and not t.table.primary_key]
    if keyless:
        what = f"No primary key: {', '.join(keyless)}. Their changes are seen, but not which row it was."
        yield Finding(Level.NOTE, "no-key", what, "Add a primary key if workflows should ask again about the row.")
    new = [
        table.relation
        for table in every
        if table.relation not in decided and table.table.kind in ("table", "partitioned") and not _ignored(table)
    ]
    if new:
        what = f"Tables that nobody decided about yet: {', '.join(new)}."
        yield Finding(
            Level.NOTE, "new-tables", what, "Run `tidings init <DATABASE_URL>` again to approve or leave them out."
        )


def _ignored(table: FoundTable) -> bool:
    return likely.secret_table(table.table) or likely.platform_table(table.table)


def examine_separation(ledger: Connection[Any], reader: Connection[Any]) -> Iterator[Finding]:
    """Find rights that our roles have and should not have."""
    reads = rows(reader, "overreach")[0]
    if reads["tidings"]:
        yield Finding(Level.PROBLEM, "reader-sees-ledger", "The reader may read schema tidings.", "REVOKE that right.")
    if reads["writes"]:
        what = f"The reader may write {', '.join(reads['writes'])}, probably by a grant to PUBLIC."
        yield Finding(
            Level.WARNING, "reader-writes", what, "It never does (its transactions are read-only); REVOKE the grant."
        )
    writes = rows(ledger, "overreach")[0]
    if writes["writes"]:
        what = f"The ledger role may write {', '.join(writes['writes'])}, probably by a grant to PUBLIC."
        yield Finding(Level.WARNING, "ledger-writes", what, "REVOKE the grant from PUBLIC.")
