"""Going back to the model with what is wrong: at most three repairs, fewer when the same problems stay."""

from typing import Any

from agent.state import Next, State, failed

MOST_REPAIRS = 3
MOST_REPEATS = 2
"""Answers in a row with exactly the same problems as the one before."""


def problem(code: str, message: str, fix: str, *, path: str = "") -> dict[str, Any]:
    """Return a problem as the tools tell them."""
    return {"path": path, "code": code, "message": message, "fix": fix}


def redo(state: State, problems: list[dict[str, Any]], **update: Any) -> Next:
    """Send the problems back to the model, or give up when it had its chances."""
    repeats = state.get("repeats", 0) + 1 if _keys(problems) == _keys(state.get("problems", [])) else 0
    update |= {"problems": problems, "repeats": repeats}
    if repeats >= MOST_REPEATS:
        return failed("The same problems came back again and again.", **update)
    if update.get("attempts", state.get("attempts", 0)) > MOST_REPAIRS:
        return failed(f"{MOST_REPAIRS} repairs were not enough.", **update)
    return Next("draft", update)


def _keys(problems: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return sorted((entry.get("path", ""), entry.get("code", ""), entry.get("message", "")) for entry in problems)
