"""`tidings runs`."""

from dataclasses import asdict
from typing import Literal, cast

import click

from cli.project import open_project
from cli.terminal import say, say_json
from runtime.engine.listing import STATES, RunLine, State, list_runs
from runtime.visible import visible

_COLOURS = {"active": "yellow", "waiting": "yellow", "completed": "green", "ended": None, "failed": "red"}


@click.command()
@click.option("--workflow", default="", help="Only of this workflow.")
@click.option("--state", type=click.Choice(STATES), help="Only those in this state.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1000), help="The most runs to list.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def runs(*, workflow: str, state: str | None, limit: int, as_json: bool) -> None:
    """List what workflows did lately, the newest first; `tidings why --run N` tells one run's whole story."""
    with open_project() as project:
        found = list_runs(
            project.ledger, workflow=workflow, state=cast("State | Literal['']", state or ""), limit=limit
        )
    if as_json:
        say_json([asdict(run) for run in found])
        return
    if not found:
        say("No run fits. Runs appear once a change or a slot has started a live workflow.")
    for run in found:
        _show(run)


def _show(run: RunLine) -> None:
    say(f"run {run.id}  {run.workflow}, version {run.version}  {run.state}", colour=_COLOURS[run.state])
    say(f"    {visible(_began(run))}")
    details = (run.standing(), ", ".join(f"{count} {status}" for status, count in run.messages.items()))
    for detail in filter(None, details):
        say(f"    {visible(detail)}", dim=True)


def _began(run: RunLine) -> str:
    return run.origin() if run.slot else f"{run.origin()} at {run.at:%Y-%m-%d %H:%M:%S} UTC"
