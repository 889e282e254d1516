"""Judges a workflow against a catalog: every problem and every warning at once, each with its place, reason and fix."""

from collections.abc import Iterable

from runtime.errors import Problem
from runtime.spec.change_rules import check_change
from runtime.spec.model import ChangeTrigger, Workflow
from runtime.spec.predicates import check_predicates
from runtime.spec.schedule_rules import check_schedule
from runtime.spec.schema import Catalog
from runtime.spec.step_rules import check_steps, check_while
from runtime.spec.survey import Survey, survey


def validate(workflow: Workflow, catalog: Catalog) -> list[Problem]:
    """Return everything that is wrong or doubtful, in the order of the spec; problems stop a publish, warnings do not.

    Pure: what only the live server can tell (types, grants, costs) is found by `runtime.source.check`, what stands
    inside texts by `runtime.templates`.
    """
    return judge(survey(workflow, catalog))


def judge(found: Survey) -> list[Problem]:
    """Judge a workflow whose SQL is read already."""
    trigger = found.workflow.trigger
    problems = list(found.problems)
    if isinstance(trigger, ChangeTrigger):
        problems += check_change(trigger, found)
    else:
        problems += check_schedule(trigger, found)
    problems += check_while(found)
    problems += check_steps(found)
    for fragment in found.fragments.values():
        problems += check_predicates(fragment, found.catalog)
    return in_order(problems)


def in_order(problems: Iterable[Problem]) -> list[Problem]:
    """Return each problem once, in the order in which a spec is read."""
    return sorted(dict.fromkeys(problems), key=lambda problem: _order(problem.path))


_TOP = ("workflow", "about", "trigger", "if", "while", "steps")


def _order(path: str) -> tuple[int, tuple[str, ...]]:
    """Order paths as a spec is read: by its top keys, then by number."""
    top, *rest = path.removeprefix("/").split("/")
    return (_TOP.index(top) if top in _TOP else -1, tuple(part.zfill(4) if part.isdigit() else part for part in rest))
