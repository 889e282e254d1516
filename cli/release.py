"""`tidings release`."""

import click

from cli.person import require_person
from cli.project import open_project
from cli.terminal import say
from runtime.errors import NotAllowed
from runtime.ledger.project import check_binding, load_project
from runtime.ledger.project import release as let_go


@click.command()
def release() -> None:
    """Let a project that is held go on, where it lives now. Only for a person at a terminal."""
    require_person("Releasing a project")
    with open_project() as project:
        ledger, environment = project.ledger, project.settings.environment
        with ledger.transaction() as conn:
            found = load_project(conn, ledger.project_id)
            reasons = [found.held_reason, check_binding(conn, found, environment)]
        held = [reason for reason in dict.fromkeys(reasons) if reason]
        if not held:
            say("Nothing is held.")
            return
        for reason in held:
            say(reason, colour="yellow")
        say(f"From then on it belongs to this database, as {environment!r}, and sends what it still owes.")
        if not click.confirm("Is this the one project that shall send, and no copy of it elsewhere?"):
            raise NotAllowed("Nothing was changed.")
        with ledger.transaction() as conn:
            let_go(conn, ledger.project_id, environment=environment)
    say("Released.", colour="green")
