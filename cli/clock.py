"""`tidings clock`: what time it is for the project, and the demo's way of letting days pass."""

from datetime import timedelta

import click

from cli.project import connect_ledger
from cli.terminal import say
from runtime.errors import TidingsError
from runtime.ledger.project import advance_clock, clock_for, load_project
from runtime.settings import load_settings
from runtime.spec.duration import DURATION_FIX, parse_duration


@click.command()
@click.argument("duration", required=False, default="")
def clock(duration: str) -> None:
    """Show the project's time, or move it forward by DURATION such as "3 days"; never in production mode."""
    settings = load_settings()
    with connect_ledger(settings) as conn:
        if duration:
            advance_clock(conn, settings.project_id, _span(duration))
        project = load_project(conn, settings.project_id)
    ahead = f", {project.clock_shift} ahead of the real time" if project.clock_shift else ""
    say(f"It is {clock_for(project).now():%A %Y-%m-%d %H:%M:%S} UTC{ahead}.")


def _span(text: str) -> timedelta:
    try:
        duration = parse_duration(text)
    except ValueError as error:
        raise TidingsError(f"{error} {DURATION_FIX}") from error
    if duration.months:
        raise TidingsError(f"{text!r} has calendar months; give days, hours or minutes.")
    return timedelta(seconds=duration.seconds)
