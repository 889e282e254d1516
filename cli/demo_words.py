"""How the demo talks: chapters, steps, and a pause where a person sits at the terminal."""

import textwrap

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


def enter(question: str, *, attended: bool) -> None:
    """Wait for Enter where a person is there; else say that nobody is."""
    if attended:
        click.prompt(click.style(f"  {question}", fg="cyan"), default="", show_default=False, prompt_suffix=" [Enter] ")
    else:
        say(f"  {question} (no terminal here: the demo goes on by itself)", colour="cyan")
