"""`tidings status`."""

from dataclasses import asdict

import click

from cli.project import connect_ledger
from cli.terminal import say, say_json
from runtime.console.concerns import concerns
from runtime.console.figures import Figures, read_figures
from runtime.settings import load_settings
from runtime.setup.status import Status, read_status
from runtime.visible import visible

_SAID = {"held", "paused", "braked"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(*, as_json: bool) -> None:
    """Show the project in numbers: what is live, what is owed, what was sent."""
    settings = load_settings()
    with connect_ledger(settings) as conn:
        found = read_status(conn, settings.project_id)
        with conn.transaction():
            figures = read_figures(conn, settings.project_id)
    if as_json:
        say_json({**asdict(found), "health": {"concerns": [asdict(c) for c in concerns(figures)], **asdict(figures)}})
    else:
        _show(found)
        _show_health(figures)


def _show_health(figures: Figures) -> None:
    """Print what the health page says, but for what stands above already."""
    found = [concern for concern in concerns(figures) if concern.code not in _SAID]
    say(f"Health        {'green' if not found else 'red' if found[0].level == 'red' else 'something to know'}")
    for concern in found:
        say(f"  {visible(concern.what)}", colour=concern.level)
        say(f"    {concern.next}", dim=True)


def _show(found: Status) -> None:
    mode = "sends for real" if found.mode == "production" else "everything goes to the local inbox"
    say(f"Project {found.name}, {found.environment}: {mode}")
    if found.held_reason:
        say(f"Held: {found.held_reason}", colour="red")
    for pause in found.pauses:
        say(visible(pause.line()), colour="red" if pause.kind == "burst" else "yellow")
    if found.clock_shift:
        say(f"The clock is {found.clock_shift} ahead.", colour="yellow")
    say(f"Workflows     {found.live} live, {found.paused} paused, {found.drafts} draft(s)")
    say(f"Approvals     {found.approvals_asked} waiting for a person")
    say(f"Changes       {found.outbox} captured and not yet matched")
    say(f"Runs          {found.runs_open} open, {found.runs_failed} failed, {found.dead_letters} dead letter(s)")
    counts = ", ".join(f"{number:,} {name}" for name, number in found.messages.items())
    say(f"Messages      {counts or 'none yet'}")
