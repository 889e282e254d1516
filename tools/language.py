"""The guide to the spec language that models read; it ships with the package, and tests try its examples."""

from functools import cache
from importlib import resources


@cache
def guide() -> str:
    """Return the guide, in Markdown."""
    return resources.files("tools").joinpath("language.md").read_text(encoding="utf-8")
