"""`tidings approve`."""

import click

from cli.person import person_name, require_person
from cli.project import OpenProject, open_project
from cli.review import ask_and_publish, show_missing
from cli.terminal import say
from runtime.errors import NotFound
from runtime.publishing.approvals import Prepared, decide, prepare_publish


@click.command()
@click.argument("name")
@click.option("--reject", metavar="WHY", default="", help="Say no, and why; whoever asked is told.")
def approve(name: str, *, reject: str) -> None:
    """Look at a draft that was tested, and publish it if you say yes. Only for a person at a terminal."""
    require_person("An approval")
    with open_project() as project:
        prepared = prepare_publish(
            project.ledger, project.source, name, requested_by=person_name(), ask_again=not reject
        )
        if prepared.live:
            say(f"Exactly this is live already: {name}.")
        elif prepared.approval_id is None:
            show_missing(prepared)
            raise SystemExit(1)
        elif reject:
            _reject(project, prepared, reject)
        elif not ask_and_publish(project, prepared):
            raise SystemExit(1)


def _reject(project: OpenProject, prepared: Prepared, why: str) -> None:
    if prepared.approval_id is None:
        raise NotFound(f"Nobody asked for an approval of {prepared.name!r}.")
    decide(project.ledger, prepared.approval_id, approve=False, by=person_name(), via="terminal", note=why)
    say(f"Rejected. {prepared.name} stays a draft.")
