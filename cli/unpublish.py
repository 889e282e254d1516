"""`tidings unpublish`."""

import click

from cli.person import confirmed
from cli.project import open_project
from cli.terminal import say
from runtime.errors import NotAllowed
from runtime.publishing.publish import unpublish as end
from runtime.publishing.versions import load_workflow


@click.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask; for scripts.")
def unpublish(name: str, *, yes: bool) -> None:
    """End a workflow's live version. Runs in flight finish; the draft stays."""
    with open_project() as project:
        live = load_workflow(project.ledger, name).live
        if live is None:
            say(f"{name} is not live.")
            return
        if not confirmed(f"Unpublish {name}, version {live.number}? No later change starts a run of it", yes=yes):
            raise NotAllowed("Nothing was changed.")
        end(project.ledger, project.settings.installer_url, name)
    say(f"{name} is no longer live. Runs in flight finish.", colour="green")
