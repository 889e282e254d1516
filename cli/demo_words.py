"""How the demo talks: chapters, steps, and a pause where a person sits at the terminal."""

import os
import shutil
import sys
import textwrap
from pathlib import Path

import click

from cli.terminal import say

_WIDTH = 100
_INDENT = " " * 4


def chapter(number: int, title: str) -> None:
    """Print a chapter's heading."""
    say()
    say(f"{number}. {title}", bold=True)


def step(name: str, text: str) -> None:
    """Print what a step said, wrapped; the name stands in front of it."""
    lead = f"{name}: " if name else ""
    for line in textwrap.wrap(lead + text, _WIDTH, initial_indent=_INDENT, subsequent_indent=_INDENT + "  "):
        say(line)


def told(text: str) -> None:
    """Print a sentence of the story."""
    for line in textwrap.wrap(text, _WIDTH):
        say(line)


def called_as() -> str:
    """Return what to type for `tidings` here: in a clone it is not on the PATH."""
    called = sys.argv[0]
    if Path(called).name != "tidings" or shutil.which("tidings") == called:
        return "tidings"
    return min(os.path.relpath(called), called, key=len)


def shown(folder: Path) -> str:
    """Return a folder's path, from here where that is shorter."""
    return min(os.path.relpath(folder), str(folder), key=len)


def enter(question: str, *, attended: bool) -> None:
    """Wait for Enter where a person is there; else say that nobody is."""
    if attended:
        click.prompt(click.style(f"  {question}", fg="cyan"), default="", show_default=False, prompt_suffix=" [Enter] ")
    else:
        say(f"  {question} (no terminal here: the demo goes on by itself)", colour="cyan")
