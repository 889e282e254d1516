"""`tidings publish`."""

import click

from cli.given import is_file
from cli.person import person_name
from cli.project import open_project
from cli.review import ask_and_publish, publish_prepared, show_missing, show_published
from cli.save import save_file
from cli.terminal import interactive, say
from runtime.publishing.approvals import prepare_publish


@click.command()
@click.argument("workflow", metavar="FILE|NAME")
def publish(workflow: str) -> None:
    """Make a draft live, or a file's spec, which is saved first; exits with 1 and the next steps while it may not.

    What a person approved already, in the console or here, goes live at once; else the person at this terminal is
    asked. There is no flag that answers instead.
    """
    with open_project() as project:
        name = save_file(project, workflow).name if is_file(workflow) else workflow
        prepared = prepare_publish(project.ledger, project.source, name, requested_by=person_name())
        if prepared.live:
            say(f"Exactly this is live already: {name}.")
        elif not prepared.missing:
            show_published(project, name, publish_prepared(project, prepared))
        elif prepared.open and interactive():
            if not ask_and_publish(project, prepared):
                raise SystemExit(1)
        else:
            show_missing(prepared)
            raise SystemExit(1)
