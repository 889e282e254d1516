"""What `tidings init` says: what it found, what it wants and why. Lines of text out of plain data."""

from collections import defaultdict
from collections.abc import Iterable

from cli.terminal import listed
from runtime.setup.look import COUNT_UP_TO, Found, FoundTable
from runtime.setup.plan import Plan
from runtime.setup.prepare import Preparation

_MANY = 12


def found_words(found: Found) -> list[str]:
    """Return what is in the database, as its role sees it."""
    role = "superuser" if found.superuser else "may create roles" if found.may_create_roles else "may not create roles"
    lines = [f"PostgreSQL {found.version_name}, database {found.database}, as {found.user} ({role})"]
    lines += [f"Behind {found.pooler}: its user list must know Tidings' roles."] if found.pooler else []
    lines += [f"  {schema}: {_contents(tables)}" for schema, tables in _by_schema(found.tables).items()]
    tables = [table for table in found.tables if table.table.kind in ("table", "partitioned")]
    sections = (
        ("Likely people", [f"{t.relation} ({_rows(t)})" for t in tables if t.people]),
        ("Address columns", [f"{t.relation}.{name} ({kind})" for t in tables for name, kind in t.addresses.items()]),
        ("Event columns", [f"{t.relation}: {_events(t)}" for t in tables if t.events]),
        ("No primary key", [t.relation for t in tables if not t.table.primary_key]),
        ("Partitioned", [f"{t.relation} ({len(t.table.partitions)})" for t in tables if t.table.kind == "partitioned"]),
        ("Row security", [t.relation for t in tables if t.row_security]),
    )
    for title, entries in sections:
        lines += [f"{title}: none found"] if not entries and title == "Address columns" else []
        lines += [f"{title}:", *_bounded(entries)] if entries else []
    if not tables:
        lines.append("There is no table that you can read here yet.")
    return lines


def plan_words(preparation: Preparation) -> list[str]:
    """Return what would be done and why, in the order of doing it."""
    plan = preparation.plan
    parts = (
        _roles(preparation),
        _schema(plan),
        _reading(plan),
        _watching(plan),
        _others(plan),
        _policies(plan),
        _addresses(plan),
        _approvals(plan),
    )
    lines: list[str] = []
    for number, part in enumerate((part for part in parts if part), start=1):
        lines += [f"{number}. {part[0]}", *part[1:]]
    return [*lines, *_left_out(plan)]


def _contents(tables: list[FoundTable]) -> str:
    counts = [table.rows for table in tables if table.rows is not None]
    kinds = [table.table.kind for table in tables]
    base = sum(kind in ("table", "partitioned") for kind in kinds)
    views = len(kinds) - base
    text = f"{base} table(s)" + (f", {views} view(s)" if views else "")
    return f"{text}, {'about ' if max(counts, default=0) >= COUNT_UP_TO else ''}{sum(counts):,} rows"


def _by_schema(tables: Iterable[FoundTable]) -> dict[str, list[FoundTable]]:
    schemas: defaultdict[str, list[FoundTable]] = defaultdict(list)
    for table in tables:
        schemas[table.table.schema_name].append(table)
    return dict(schemas)


def _rows(table: FoundTable) -> str:
    if table.rows is None:
        return "rows not counted"
    return f"{table.rows:,} row(s)" if table.rows < COUNT_UP_TO else f"about {table.rows:,} rows"


def _events(table: FoundTable) -> str:
    shown = [f"{e.column} ({' | '.join(e.labels)})" if e.labels else e.column for e in table.events]
    return ", ".join(shown)


def _roles(preparation: Preparation) -> list[str]:
    plan = preparation.plan
    new = [change for change in plan.create_roles if change.action == "CREATE ROLE"]
    lines: list[str] = []
    if new:
        lines.append("Create roles, with random passwords that only project.json in Tidings' home holds:")
        width = max(len(change.object) for change in new)
        lines += [f"    {change.object:<{width}}  {change.why}" for change in new]
    reset = sorted(set(preparation.passwords) & plan.present.existing)
    if reset:
        lines.append(f"{'   ' if new else ''}Set new passwords, as this machine knows none that works, for:")
        lines += [
            *listed(reset),
            "    A Tidings elsewhere that uses the old ones is locked out until it gets the new project.json.",
        ]
    return lines


def _schema(plan: Plan) -> list[str]:
    return (
        [f"Create schema tidings, owned by {plan.roles.installer}: all of Tidings' own tables."] if plan.schema else []
    )


def _reading(plan: Plan) -> list[str]:
    tables = sorted({change.object for change in plan.grants if change.action == "SELECT"})
    if not tables:
        return []
    lines = [f"Let {plan.roles.reader} read {len(tables)} table(s), for workflows to ask about:", *listed(tables)]
    secret = [(t.relation, name) for t in plan.choice.tables for name in t.secret_columns if t.relation in tables]
    hidden = [f"{relation}.{name}" for relation, name in secret]
    return [*lines, "   but not the columns that look secret:", *listed(hidden)] if hidden else lines


def _watching(plan: Plan) -> list[str]:
    tables = {change.object for change in plan.grants if change.action == "TRIGGER"}
    if not tables:
        return []
    leaves = {leaf for table in plan.choice.tables for leaf in table.table.partitions} & tables
    extra = f" and {len(leaves)} partition(s)" if leaves else ""
    what = f"Let {plan.roles.installer} put triggers on {len(tables - leaves)} table(s){extra}:"
    return [what, "    a published workflow that watches a table installs its hook there."]


def _others(plan: Plan) -> list[str]:
    schemas = sorted({change.object for change in plan.grants if change.action == "USAGE"})
    lines = [f"Let the three roles name what is in {', '.join(schemas)} (USAGE)."] if schemas else []
    connect = any(change.action == "CONNECT" for change in plan.grants)
    return lines + ([f"{'   ' if lines else ''}Let the three roles connect to the database."] if connect else [])


def _policies(plan: Plan) -> list[str]:
    added = [change.object for change in plan.policies if change.action == "CREATE POLICY"]
    taken = (*plan.revokes, *plan.policies)
    gone = sorted({change.object for change in taken if change.action in ("REVOKE", "DROP POLICY")})
    lines: list[str] = []
    if added:
        lines += ["Add a policy for the reader where row security hides every row from a role without:", *listed(added)]
    if gone:
        lines += [f"{'   ' if lines else ''}Take back what is no longer needed on:", *listed(gone)]
    return lines


def _addresses(plan: Plan) -> list[str]:
    kept = [f"{path} ({kind})" for path, kind in plan.addresses.items() if kind is not None]
    gone = [path for path, kind in plan.addresses.items() if kind is None]
    lines = ["Let messages go to addresses in these columns, and no others:", *listed(kept)] if kept else []
    return lines + ([f"{'   ' if lines else ''}No longer to addresses in {', '.join(gone)}."] if gone else [])


def _approvals(plan: Plan) -> list[str]:
    lines = [f"Record {len(plan.approve)} table(s) as approved by you."] if plan.approve else []
    return lines + ([f"Withdraw the approval of {', '.join(plan.withdraw)}."] if plan.withdraw else [])


def _left_out(plan: Plan) -> list[str]:
    reasons: defaultdict[str, list[str]] = defaultdict(list)
    for relation, why in plan.choice.left_out.items():
        reasons[why].append(relation)
    lines = [line for why, names in reasons.items() for line in (f"  {why}:", *_bounded(names))]
    return ["Left out:", *lines] if lines else []


def _bounded(entries: list[str]) -> list[str]:
    more = [f"    … and {len(entries) - _MANY} more"] if len(entries) > _MANY else []
    return [*(f"    {entry}" for entry in entries[:_MANY]), *more]
