"""The person at the terminal: some things only they may do, and no flag does them instead."""

import os
import pwd

import click

from cli.terminal import interactive
from runtime.errors import NotAllowed


def require_person(what: str) -> None:
    """Refuse unless a person sits at an interactive terminal; there is no --yes for this."""
    if not interactive():
        raise NotAllowed(
            f"{what} needs a person at an interactive terminal. Run the command there yourself; nothing can say yes "
            "for you, also no flag."
        )


def confirmed(question: str, *, yes: bool = False) -> bool:
    """Ask a question whose answer may also be given by --yes; refuses where there is nobody to ask."""
    if yes:
        return True
    if not interactive():
        raise NotAllowed("Nobody is at a terminal to say yes. Run it again with --yes if this is what you want.")
    return click.confirm(question)


def person_name() -> str:
    """Return the login name of whoever runs this, as the operating system knows it and not as a variable says."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"
