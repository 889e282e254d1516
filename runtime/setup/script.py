"""What somebody with more rights has to do: why, and the exact SQL."""

from collections.abc import Collection, Iterable

from runtime.setup import grants
from runtime.setup.choice import Wishes
from runtime.setup.grants import Change
from runtime.setup.look import connect, look
from runtime.setup.names import Roles
from runtime.setup.plan import Plan, creation, make_plan

_NOT_SHOWN = " PASSWORD '…'"
_NAMED = 3


def obstacles(plan: Plan, unknown: Collection[str]) -> list[str]:
    """Return why the connected role can't carry the plan out; `unknown` are roles that nobody here can log in as."""
    found, present, user = plan.found, plan.present, plan.found.user
    said: list[str] = []
    if plan.create_roles and not found.may_create_roles:
        said.append(f"{user} may not create roles")
    elif stuck := sorted(role for role in unknown if role in present.existing - present.managed):
        said.append(f"{', '.join(stuck)} exist already, and {user} may not set their passwords")
    if plan.schema and not found.may_create_schema:
        said.append(f"{user} may not create a schema in {found.database}")
    named = {table.relation: table for table in plan.choice.tables}
    if foreign := sorted(
        relation for relation, table in named.items() if not table.may_grant and _touched(plan, relation)
    ):
        said.append(f"{user} may not grant on {_some(foreign)}")
    if locked := sorted(c.object for c in plan.policies if c.object in named and not named[c.object].owned):
        said.append(f"{user} does not own {_some(locked)}, which have row security")
    return said


def full_script(url: str, roles: Roles | None = None) -> str:
    """Return the SQL of everything that Tidings needs in a database, done or not, as the role of the URL sees it."""
    with connect(url) as conn:
        plan = make_plan(conn, look(url, everything=roles is not None), Wishes(), roles=roles)
    return script(plan, everything=True)


def script(plan: Plan, *, everything: bool = False) -> str:
    """Return the plan's SQL for psql, each statement under its reason; with `everything`, also what is done already."""
    if not everything:
        changes: Iterable[Change] = plan.administration
    else:
        choice, present = plan.choice, plan.present
        database = "" if plan.found.anybody_may_connect else plan.found.database
        secured = [grants.policy(table.relation, plan.roles) for table in choice.tables if table.row_security]
        new = [change for change in secured if change.object not in present.policies]
        needed = grants.needed(choice.tables, plan.roles, database=database)
        changes = (*plan.create_roles, *creation(plan.roles, present), *grants.statements(needed, plan.roles), *new)
    return "\n".join([_head(plan), *_lines(changes), ""])


def _head(plan: Plan) -> str:
    passwords = [f"--   \\password {role}" for role in plan.roles if role not in plan.present.existing]
    hint = ["-- Then give each role a password, for example in psql:", *passwords] if passwords else []
    first = (
        f"-- What Tidings needs in database {plan.found.database}. Run it as a superuser, or as the owner of the tables"
    )
    return "\n".join([f"{first} who may create roles.", *hint])


def _lines(changes: Iterable[Change]) -> list[str]:
    lines: list[str] = []
    last = ""
    for change in changes:
        if change.why != last:
            lines += ["", f"-- {change.why}"]
            last = change.why
        lines.append(f"{change.sql.replace(_NOT_SHOWN, '')};")
    return lines


def _some(relations: list[str]) -> str:
    more = len(relations) - _NAMED
    return ", ".join(relations[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _touched(plan: Plan, relation: str) -> bool:
    return any(change.object == relation for change in plan.grants)
