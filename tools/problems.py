"""Problems as data: what is wrong with a spec comes back as an answer to act on, never as an error."""

from collections.abc import Iterable
from typing import Literal

from pydantic import Field

from runtime.errors import Problem
from tools.answer import Part
from tools.untrusted import clean, cut

MOST = 40
_LONGEST = 600


class ProblemLine(Part):
    """One thing that is wrong or doubtful."""

    path: str = Field(description="JSON pointer into the spec; / is the whole.")
    code: str
    message: str
    fix: str = Field(default="", description="What to write instead.")
    severity: Literal["problem", "warning"] = Field(description="A problem stops a publish.")


def lines(problems: Iterable[Problem]) -> tuple[ProblemLine, ...]:
    """Return problems as lines, the serious ones first, at most 40."""
    ordered = sorted(problems, key=lambda problem: problem.warning)
    return tuple(_line(problem) for problem in ordered[:MOST])


def counted(problems: Iterable[Problem]) -> str:
    """Return `2 problem(s), 1 warning(s)`."""
    found = list(problems)
    warnings = sum(problem.warning for problem in found)
    return f"{len(found) - warnings} problem(s), {warnings} warning(s)"


def _line(problem: Problem) -> ProblemLine:
    return ProblemLine(
        path=problem.path or "/",
        code=problem.code,
        message=_short(problem.message),
        fix=_short(problem.fix),
        severity="warning" if problem.warning else "problem",
    )


def _short(text: str) -> str:
    return cut(" ".join(clean(text).split()), _LONGEST)
