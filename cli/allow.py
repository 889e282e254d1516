"""`tidings allow`: who is reached outside production mode too."""

import click

from cli.person import require_person
from cli.project import open_project
from cli.terminal import say, say_json
from runtime.errors import NotAllowed
from runtime.publishing.reach import allow as let_through
from runtime.publishing.reach import disallow, list_allowed


@click.command()
@click.argument("address", required=False)
@click.option("--remove", is_flag=True, help="Take the address off the list.")
@click.option("--json", "as_json", is_flag=True, help="Print the list as JSON.")
def allow(address: str | None, *, remove: bool, as_json: bool) -> None:
    """List the addresses that are reached outside production mode, or let ADDRESS be: one, or a whole @domain.

    Only a person at a terminal changes the list.
    """
    if address is not None:
        require_person("Changing the allow-list")
    with open_project() as project:
        if address is None:
            _show(list_allowed(project.ledger), as_json=as_json)
        elif remove:
            disallow(project.ledger, address)
            say(f"{address} is off the list.", colour="green")
        else:
            if not click.confirm(f"Let messages leave this machine for {address} outside production mode too?"):
                raise NotAllowed("Nothing was changed.")
            say(f"{let_through(project.ledger, address)} is on the list.", colour="green")


def _show(allowed: tuple[str, ...], *, as_json: bool) -> None:
    if as_json:
        say_json(list(allowed))
        return
    for address in allowed or ("Outside production mode nothing leaves this machine; no address is allowed.",):
        say(address)
