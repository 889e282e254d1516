"""`tidings forget`: erases what is known of an address."""

from dataclasses import asdict

import click

from cli.person import confirmed, person_name
from cli.project import open_project
from cli.terminal import progress, say, say_json
from runtime.engine.forget import Held, erase, find_address
from runtime.errors import NotAllowed
from runtime.ledger.project import clock_for, load_project

_SHOWN = 20


@click.command()
@click.argument("address")
@click.option("--dry-run", is_flag=True, help="Only say what would be erased.")
@click.option("--also-suppression", is_flag=True, help="Remove the address from the suppression list too.")
@click.option("--yes", is_flag=True, help="Do not ask; for scripts.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def forget(address: str, *, dry_run: bool, also_suppression: bool, yes: bool, as_json: bool) -> None:
    """Erase what Tidings knows of ADDRESS: messages, requests, texts, captured rows that name it. Your tables stay.

    Runs and requests under way stay too: ask again when they are done. The suppression list keeps the address, because
    it is what keeps messages away from it.
    """
    with open_project() as project:
        ledger = project.ledger
        held = find_address(ledger, address, progress=progress())
        if not as_json:
            _show(held, also_suppression=also_suppression)
        done = None
        if not dry_run and _goes_on(held, also_suppression=also_suppression):
            if not confirmed(f"Erase it? It can't be brought back, {held.address} is forgotten", yes=yes):
                raise NotAllowed("Nothing was erased.")
            with ledger.transaction() as conn:
                now = clock_for(load_project(conn, ledger.project_id)).now()
            done = erase(
                ledger, held, by=person_name(), now=now, also_suppression=also_suppression, progress=progress()
            )
    if as_json:
        found = {table: len(ids) for table, ids in held.found.items()}
        say_json({**asdict(held), "found": found, "erased": done})
    elif done is not None:
        say(
            f"Erased: {sum(done.values()):,} row(s) were blanked or removed. It is recorded that, not whose.",
            colour="green",
        )


def _goes_on(held: Held, *, also_suppression: bool) -> bool:
    return any(held.found.values()) or (also_suppression and bool(held.suppressions))


def _show(held: Held, *, also_suppression: bool) -> None:
    if held.nothing:
        say(f"Nothing is known of {held.address}.")
    else:
        say(f"Known of {held.address}, or naming it:")
    for line in held.lines():
        say(f"  {line}")
    if waiting := {table: count for table, count in held.under_way.items() if count}:
        listed = ", ".join(f"{count:,} of {table}" for table, count in waiting.items())
        say(f"Under way, and therefore left: {listed}. Ask again when they are done.", colour="yellow")
    for topic, reason in held.suppressions:
        fate = "it is removed" if also_suppression else "it stays, so that nothing is sent to it (--also-suppression)"
        say(f"On the suppression list, {f'topic {topic}, ' if topic else ''}{reason}: {fate}.")
    for place in held.written:
        say(f"Written by a person, and not touched: {place}.", colour="yellow")
    _show_providers(held)


def _show_providers(held: Held) -> None:
    if held.at_providers:
        say("Providers know these messages by their own ids; delete them there:")
    for message in held.at_providers[:_SHOWN]:
        say(f"  {message.provider} {message.provider_id}  {message.at:%Y-%m-%d %H:%M} UTC")
    if len(held.at_providers) > _SHOWN:
        say(f"  and {len(held.at_providers) - _SHOWN:,} more: --dry-run --json prints all.")
