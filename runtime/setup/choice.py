"""Which tables and address columns Tidings may see: what a person wishes, what they chose before, what we propose."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from runtime.errors import Invalid, Problem
from runtime.setup import likely
from runtime.setup.look import Found, FoundTable
from runtime.spec.schema import AddressKind


@dataclass(frozen=True)
class Wishes:
    """What a person asked for on the command line; empty means: as before, else as proposed."""

    tables: tuple[str, ...] = ()
    """Exactly these: schema.table, with * and ? as wildcards."""
    exclude: tuple[str, ...] = ()
    addresses: Mapping[str, str] = field(default_factory=dict)
    """`schema.table.column` → email, phone, slack, or none."""


@dataclass(frozen=True)
class Before:
    """What the ledger knows from an earlier init."""

    approved: frozenset[str] = frozenset()
    declined: frozenset[str] = frozenset()
    addresses: Mapping[str, AddressKind] = field(default_factory=dict)


@dataclass(frozen=True)
class Choice:
    """What is going to be approved if the person says yes."""

    tables: tuple[FoundTable, ...]
    addresses: Mapping[str, AddressKind]
    """`schema.table.column` → kind, on chosen tables."""
    left_out: Mapping[str, str]
    """Relation → why."""
    declined: tuple[str, ...]
    """What a person left out by name, now or earlier."""


def choose(found: Found, wishes: Wishes, before: Before, attainable: Collection[str]) -> Choice:
    """Decide for every table; raises Invalid with everything that was asked for and does not exist.

    `attainable` are the relations on which our roles have what they need, or can get it; only those are proposed.
    """
    _refuse_unknown(found, wishes)
    left_out = {table.relation: why for table in found.tables if (why := _why_not(table, wishes, before, attainable))}
    chosen = tuple(table for table in found.tables if table.relation not in left_out)
    declined = {table.relation for table in found.tables if _matches(table.relation, wishes.exclude)}
    earlier = before.declined - {table.relation for table in chosen}
    return Choice(chosen, _addresses(chosen, wishes, before), left_out, tuple(sorted(declined | earlier)))


def _why_not(table: FoundTable, wishes: Wishes, before: Before, attainable: Collection[str]) -> str:
    """Return why a table is left out, or nothing: it is chosen."""
    if _matches(table.relation, wishes.exclude):
        return "left out as asked"
    if not set(table.column_names) - set(table.secret_columns):
        return "every column of it looks secret"
    if wishes.tables:
        return "" if _matches(table.relation, wishes.tables) else "not among the tables asked for"
    if table.relation in before.approved:
        return ""
    if table.relation in before.declined:
        return "left out before"
    return _why_not_proposed(table, attainable)


def _why_not_proposed(table: FoundTable, attainable: Collection[str]) -> str:
    if table.table.kind in ("view", "materialized"):
        return "a view: it can show more than the tables under it; name it with --tables if it should be readable"
    if likely.platform_table(table.table):
        return "belongs to the platform, not to the application"
    if likely.secret_table(table.table):
        return "looks secret, or of no use in a message"
    if table.relation in attainable:
        return ""
    if table.may_grant:
        return "has row security, and only its owner can let the reader see rows"
    return "you do not own it and may not grant on it"


def _addresses(chosen: Sequence[FoundTable], wishes: Wishes, before: Before) -> dict[str, AddressKind]:
    """Keep what was approved, propose for tables that are new, and let the person have the last word."""
    found: dict[str, AddressKind] = {}
    for table in chosen:
        known = table.relation in before.approved
        for column in table.table.columns:
            path = f"{table.relation}.{column.name}"
            kind = before.addresses.get(path) if known else table.addresses.get(column.name)
            wished = wishes.addresses.get(path)
            kind = kind if wished is None else (AddressKind(wished) if wished != "none" else None)
            if kind is not None and column.name not in table.secret_columns:
                found[path] = kind
    return found


def _refuse_unknown(found: Found, wishes: Wishes) -> None:
    relations = [table.relation for table in found.tables]
    columns = {f"{t.relation}.{name}" for t in found.tables for name in t.column_names}
    problems = [
        Problem(
            "",
            "unknown-table",
            f"No table that you can read is called {pattern!r}.",
            f"There are {', '.join(relations)}.",
        )
        for pattern in (*wishes.tables, *wishes.exclude)
        if not any(_matches(relation, (pattern,)) for relation in relations)
    ]
    kinds = (*AddressKind, "none")
    for path, kind in wishes.addresses.items():
        if path not in columns:
            problems.append(
                Problem("", "unknown-column", f"No column is called {path!r}.", "Write schema.table.column=kind.")
            )
        if kind not in kinds:
            problems.append(Problem("", "unknown-kind", f"{kind!r} is no kind of address.", f"Use {', '.join(kinds)}."))
    if problems:
        raise Invalid(problems, "choice")


def _matches(relation: str, patterns: Sequence[str]) -> bool:
    """Match schema.table, or a bare name in public."""
    return any(fnmatchcase(relation, pattern if "." in pattern else f"public.{pattern}") for pattern in patterns)
