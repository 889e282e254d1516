"""Nearest names: what a person probably meant."""

from collections.abc import Iterable
from difflib import get_close_matches

_LISTED = 12


def nearest(name: str, names: Iterable[str]) -> str:
    """Return the name that is closest to `name`, ignoring case, or an empty string when none is close."""
    by_lower = {known.lower(): known for known in sorted(names, reverse=True)}
    found = get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[found[0]] if found else ""


def did_you_mean(name: str, names: Iterable[str], *, otherwise: str = "") -> str:
    """Return a fix: the nearest name as a question, else the list of what there is (or `otherwise`)."""
    known = sorted(set(names))
    best = nearest(name, known)
    if best:
        return f"Did you mean {best!r}?"
    if otherwise:
        return otherwise
    return f"There is {listed(known)}." if known else "There is none to choose from."


def listed(names: Iterable[str]) -> str:
    """Return names in a sentence; at most a dozen of them."""
    known = list(names)
    more = f" and {len(known) - _LISTED} more" if len(known) > _LISTED else ""
    return ", ".join(known[:_LISTED]) + more
