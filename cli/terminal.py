"""What commands print: plain text, with colours and a progress line only where a person sits at a terminal."""

import json
import sys
from collections.abc import Callable, Iterable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import click


def say(text: str = "", *, bold: bool = False, dim: bool = False, colour: str | None = None) -> None:
    """Print a line; click drops the colours where no terminal is."""
    styled = click.style(text, bold=bold or None, dim=dim or None, fg=colour)  # False would end what the other began
    click.echo(styled if bold or dim or colour else text)


def progress() -> Callable[[str], None]:
    """Return a function that tells what is being done, on the error stream: the output stays for results."""

    def tell(what: str) -> None:
        click.echo(click.style(f"… {what}", dim=True), err=True)

    return tell


def say_json(value: Any) -> None:
    """Print a value as JSON, for programs."""
    click.echo(json.dumps(value, indent=2, default=_plain, ensure_ascii=False))


def interactive() -> bool:
    """Return whether a person can be asked: both input and output are a terminal."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def listed(names: Iterable[str], *, width: int = 96, indent: str = "    ") -> list[str]:
    """Return names as comma-separated, indented lines."""
    lines: list[str] = []
    line = ""
    for name in names:
        if line and len(indent) + len(line) + len(name) + 2 > width:
            lines.append(f"{indent}{line},")
            line = ""
        line = f"{line}, {name}" if line else name
    return [*lines, f"{indent}{line}"] if line else lines


def _plain(value: Any) -> Any:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")
