"""`tidings workflows`."""

from dataclasses import asdict

import click

from cli.project import open_project
from cli.terminal import say, say_json
from runtime.publishing.versions import WorkflowLine, list_workflows
from runtime.visible import visible

_COLOURS = {"live": "green", "paused": "yellow", "draft": None}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def workflows(*, as_json: bool) -> None:
    """List the workflows: what is live, what is a draft, and what each is for."""
    with open_project() as project:
        lines = list_workflows(project.ledger)
    if as_json:
        say_json([asdict(line) for line in lines])
        return
    if not lines:
        say("There is no workflow yet. `tidings save FILE` saves one, and a chat client can draft one.")
    for line in lines:
        say(f"{line.name}  {_state(line)}", colour=_COLOURS[line.state])
        say(f"    {visible(' '.join(line.about.split()))}")
        if line.pause is not None:
            say(f"    {visible(line.pause.line())}", colour="yellow")


def _state(line: WorkflowLine) -> str:
    if line.number is None:
        return f"draft, revision {line.revision}"
    changed = f", and a changed draft (revision {line.revision})" if line.changed else ""
    return f"{line.state}, version {line.number} since {line.published_at:%Y-%m-%d %H:%M} UTC{changed}"
