"""Problems for people: the place, what is wrong there, and what to write instead."""

from collections.abc import Sequence

from cli.terminal import say
from runtime.errors import Problem
from runtime.visible import visible


def show_problems(problems: Sequence[Problem]) -> None:
    """Print each problem on three lines."""
    for problem in problems:
        mark, colour = ("!", "yellow") if problem.warning else ("✗", "red")
        say(f"{mark} {problem.path or 'the spec'}  ({problem.code})", colour=colour)
        say(f"    {visible(problem.message)}")
        if problem.fix:
            say(f"    {visible(problem.fix)}", dim=True)


def counted(number: int, what: str) -> str:
    """Return `1 problem` or `2 problems`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"
