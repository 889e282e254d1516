"""The one family of errors. Callers act on the class, people read the message: what, where, what to do."""

from dataclasses import dataclass
from datetime import timedelta


class TidingsError(Exception):
    """Anything Tidings refuses or can't do; the message ends with the next step."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with something a person wrote."""

    path: str
    """Where, as a JSON pointer into the spec (`/steps/1/to`), or empty for the whole."""
    code: str
    """A stable name of the rule, such as `unknown-column`."""
    message: str
    """What is wrong, in one sentence."""
    fix: str
    """What to write instead, in one sentence; names the nearest existing names where a name is unknown."""
    warning: bool = False
    """A warning does not stop a publish."""

    def __str__(self) -> str:
        """Return the problem on one line."""
        return f"{self.path or 'spec'}: {self.message} {self.fix}".rstrip()


class Invalid(TidingsError):  # noqa: N818  # read as a family: Invalid, NotFound, Conflict
    """What was written can't be accepted; carries every problem at once."""

    def __init__(self, problems: list[Problem], subject: str = "spec") -> None:
        self.problems = tuple(problems)
        lines = "\n".join(f"- {p}" for p in self.problems)
        super().__init__(f"{len(self.problems)} problem(s) in the {subject}:\n{lines}")


class NotFound(TidingsError):  # noqa: N818
    """Nothing has that name or id."""


class Conflict(TidingsError):  # noqa: N818
    """Something changed since you looked; look again."""


class NotAllowed(TidingsError):  # noqa: N818
    """A gate, a mode or a role says no."""


class Temporary(TidingsError):  # noqa: N818
    """Try again, after `retry_after` where it is known."""

    def __init__(self, message: str, retry_after: timedelta | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Permanent(TidingsError):  # noqa: N818
    """Trying again can't help."""
