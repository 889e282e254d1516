"""What must be right about steps: their names, waits, and who is told."""

import re
from collections.abc import Iterator

from sqlglot import exp

from runtime.errors import Problem
from runtime.spec.duration import DURATION_FIX, parse_duration
from runtime.spec.lineage import check_addresses
from runtime.spec.model import ChangeTrigger, QueryStep, SendStep, WaitStep, step_name
from runtime.spec.scope import RESERVED
from runtime.spec.survey import Survey
from runtime.spec.text_rules import check_texts

_QUERY_NAME = re.compile(r"^[a-z][a-z0-9_]{0,62}$")
_STEP_NAME = re.compile(r"^[a-z][a-z0-9_-]{0,62}$")
_TAKEN_IN_TEXTS = frozenset({"row", "loop", "true", "false", "none"})


def check_steps(found: Survey) -> list[Problem]:
    """Return what is wrong with the steps, beyond their SQL."""
    steps = found.workflow.steps
    problems = [*_names(found)]
    for number, step in enumerate(steps):
        path = f"/steps/{number}"
        match step:
            case WaitStep():
                problems += _wait(step, path, is_last=number == len(steps) - 1)
            case SendStep():
                problems += [*_send(step, path, found), *check_texts(step, path)]
            case QueryStep():
                pass
    if not any(isinstance(step, SendStep) for step in steps):
        message = "No step tells anybody."
        problems.append(
            Problem("/steps", "no-send", message, "Add a send step: who (`to`), by which channels, with which texts.")
        )
    return problems


def check_while(found: Survey) -> list[Problem]:
    """Return what is wrong with `while`: it looks at the row again, so there must be one to find."""
    fragment = found.fragments.get("/while")
    if fragment is None or not isinstance(found.workflow.trigger, ChangeTrigger) or found.table is None:
        return []
    if not found.table.primary_key:
        message = f"{found.table.relation} has no primary key, so the row can't be found again."
        return [Problem("/while", "no-primary-key", message, "Add a primary key, or ask in the `if` of each send.")]
    looks_again = any(column.table == "live" for column in fragment.tree.find_all(exp.Column))
    if not looks_again and not fragment.uses.tables and not fragment.tree.find(exp.Table):
        message = "This asks only what was true then, which can't change."
        fix = "Use live.column, the row as it is now."
        return [Problem("/while", "frozen-while", message, fix, warning=True)]
    return []


def _names(found: Survey) -> Iterator[Problem]:
    tables = {table.name for table in found.catalog.tables}
    seen: dict[str, int] = {}
    for number, step in enumerate(found.workflow.steps):
        name, kind = step_name(step), type(step).__name__.removesuffix("Step").lower()
        path = f"/steps/{number}/{kind}"
        pattern = _QUERY_NAME if kind == "query" else _STEP_NAME
        if not pattern.match(name):
            allowed = "letters, digits and _" if kind == "query" else "letters, digits, _ and -"
            yield Problem(
                path, "bad-name", f"{name!r} is no name for a step.", f"Use lower-case {allowed}, a letter first."
            )
        elif name in RESERVED | _TAKEN_IN_TEXTS:
            yield Problem(path, "reserved-name", f"{name!r} is a name of the language.", "Choose another name.")
        elif kind == "query" and name in tables:
            message = f"{name!r} is also the name of a table."
            yield Problem(path, "reserved-name", message, "Choose another name, so that SQL can tell them apart.")
        if name in seen:
            message = f"{name!r} is also the name of step {seen[name] + 1}."
            yield Problem(path, "duplicate-name", message, "Give each step a name of its own.")
        seen.setdefault(name, number)


def _wait(step: WaitStep, path: str, *, is_last: bool) -> Iterator[Problem]:
    if bool(step.duration) == bool(step.until):
        message = "A wait has `for` and `until` both." if step.duration else "A wait needs `for` or `until`."
        yield Problem(
            path, "one-of", message, "Write exactly one: for: 3 days, or until: SQL that gives a timestamptz."
        )
    if step.duration:
        try:
            parse_duration(step.duration)
        except ValueError as error:
            yield Problem(f"{path}/for", "bad-duration", str(error), DURATION_FIX)
    if is_last:
        yield Problem(
            path, "idle-wait", "Nothing follows this wait.", "Put a send after it, or leave it out.", warning=True
        )


def _send(step: SendStep, path: str, found: Survey) -> Iterator[Problem]:
    if len(step.channels) != len(set(step.channels)):
        yield Problem(f"{path}/channels", "duplicate", "A channel is named twice.", "Name each once.")
    if step.category != "transactional" and not step.topic:
        message = f"A {step.category} message needs a topic, so that people can unsubscribe from it."
        yield Problem(f"{path}/topic", "missing-topic", message, "Name it, like topic: review-requests.")
    to = found.fragments.get(f"{path}/to")
    if to is None:
        return
    if not any(problem.path == to.path for problem in found.problems):
        yield from check_addresses(to, step.channels, found.catalog)
    if to.output("send_at"):
        message = "`send_at` is not built yet."
        yield Problem(to.path, "not-built-yet", message, "Leave it out, and put a `wait` step before the send.")
    if not to.output("key") and not to.is_open:
        message = "Without a column `key` two people with one address count as one."
        fix = "Return what identifies the person, like c.id AS key."
        yield Problem(to.path, "no-key", message, fix, warning=True)
