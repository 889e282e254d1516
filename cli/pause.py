"""`tidings pause`."""

from datetime import timedelta

import click

from cli.person import person_name
from cli.project import open_project
from cli.terminal import progress, say
from runtime.delivery.underway import settle
from runtime.publishing.pausing import LONGEST_WHY
from runtime.publishing.pausing import pause as stop
from runtime.visible import visible

_PATIENCE = timedelta(seconds=30)
"""For requests that are under way; longer than a provider usually takes to answer."""


@click.command()
@click.argument("workflow", required=False)
@click.option("--reason", default="", metavar="WHY", help=f"Is shown wherever the pause is; {LONGEST_WHY} characters.")
def pause(workflow: str | None, *, reason: str) -> None:
    """Stop WORKFLOW, or everything, at once: when this returns, no message leaves any more, also none that is written.

    Changes are captured and matched all the same and wait, as messages do; slots of schedules pass by. `tidings resume`
    goes on.
    """
    with open_project() as project:
        known = stop(project.ledger, workflow, by=person_name(), why=reason)
        progress()("waiting for requests that are on their way")
        underway = settle(project.ledger, patience=_PATIENCE)
    if known is not None:
        say(visible(known.line()), colour="yellow")
    else:
        say(f"{workflow or 'Everything'} is paused.", colour="green")
    if underway:
        say(
            f"{underway} request(s) were given to a provider before and have no answer yet: they may still arrive. "
            "Nothing else leaves.",
            colour="yellow",
        )
        raise SystemExit(1)
