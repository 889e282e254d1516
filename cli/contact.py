"""`tidings contact`: named fixed addresses. Only a person at a terminal registers one."""

from dataclasses import asdict

import click

from cli.person import require_person
from cli.project import open_project
from cli.terminal import say, say_json
from runtime.errors import NotAllowed, TidingsError
from runtime.publishing.reach import Contact, add_contact, kind_of, list_contacts, remove_contact
from runtime.spec.schema import AddressKind


@click.group()
def contact() -> None:
    """List, add or remove contacts: what `contact('name')` in a spec stands for."""


@contact.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(*, as_json: bool) -> None:
    """List the contacts, and which workflows name them."""
    with open_project() as project:
        found = list_contacts(project.ledger)
    if as_json:
        say_json([asdict(one) for one in found])
        return
    if not found:
        say("No contact is registered. `tidings contact add NAME ADDRESS` registers one.")
    for one in found:
        users = f"  used by {', '.join(one.used_by)}" if one.used_by else ""
        say(f"{one.name}  {one.address} ({one.kind}){users}")


@contact.command()
@click.argument("name")
@click.argument("address")
@click.option("--kind", type=click.Choice([kind.value for kind in AddressKind]), help="What the address is.")
def add(name: str, address: str, *, kind: str | None) -> None:
    """Register a contact, or give it another address."""
    require_person("Registering a contact")
    what = AddressKind(kind) if kind else kind_of(address)
    if what is None:
        raise TidingsError(f"{address!r} looks like no address that is known. Say what it is with --kind.")
    with open_project() as project:
        present = _find(list_contacts(project.ledger), name)
        if present and not click.confirm(f"{name} is {present.address} now. Make it {address}?"):
            raise NotAllowed("Nothing was changed.")
        add_contact(project.ledger, name, kind=what, address=address)
    say(f"{name} is {address} ({what.value}). Specs name it as contact('{name}').", colour="green")
    _say_live(present)


@contact.command()
@click.argument("name")
def remove(name: str) -> None:
    """Forget a contact."""
    require_person("Removing a contact")
    with open_project() as project:
        present = _find(list_contacts(project.ledger), name)
        remove_contact(project.ledger, name)
    say(f"{name} is forgotten.", colour="green")
    _say_live(present)


def _find(contacts: tuple[Contact, ...], name: str) -> Contact | None:
    return next((one for one in contacts if one.name == name), None)


def _say_live(present: Contact | None) -> None:
    if present and present.used_by:
        say(f"What is live keeps {present.address} until it is published again: {', '.join(present.used_by)}.")
