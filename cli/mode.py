"""`tidings mode`: whether messages go to people."""

from typing import Literal

import click

from cli.person import require_person
from cli.project import OpenProject, open_project
from cli.terminal import say
from runtime.errors import NotAllowed
from runtime.ledger.project import load_project
from runtime.publishing.reach import list_allowed, set_mode
from runtime.publishing.versions import list_workflows


@click.command()
@click.argument("mode", type=click.Choice(["inbox", "production"]), required=False)
def mode(mode: Literal["inbox", "production"] | None) -> None:
    """Show the mode, or change it: `production` sends to people, `inbox` keeps everything on this machine.

    Only for a person at a terminal. What was approved but not yet published has to be tested and approved again.
    """
    if mode is not None:
        require_person("Changing the mode")
    with open_project() as project:
        with project.ledger.transaction() as conn:
            now = load_project(conn, project.ledger.project_id).mode
        if mode in (None, now):
            say(f"The mode is {now}.")
            return
        _say_consequences(project, mode)
        if not click.confirm(f"Set the mode to {mode}?"):
            raise NotAllowed("Nothing was changed.")
        set_mode(project.ledger, mode)
    say(f"The mode is {mode}.", colour="green")


def _say_consequences(project: OpenProject, mode: str) -> None:
    live = [line.name for line in list_workflows(project.ledger) if line.state == "live"]
    say(f"Live: {', '.join(live) or 'no workflow'}.")
    if mode == "production":
        say("In production mode their messages go to people, from the next one on.", colour="yellow")
    else:
        allowed = ", ".join(list_allowed(project.ledger))
        say(f"In inbox mode nothing leaves this machine{f' but to {allowed}' if allowed else ''}.")
