"""`tidings acknowledge`: a person has seen what was missed."""

from collections.abc import Sequence
from dataclasses import asdict

import click

from cli.person import confirmed, person_name
from cli.project import open_project
from cli.terminal import say, say_json
from runtime.capture.acknowledge import Acknowledgement, acknowledgements, unseen_misses
from runtime.capture.acknowledge import acknowledge as note_seen
from runtime.errors import NotAllowed
from runtime.ledger.project import clock_for, load_project


@click.command()
@click.argument("table", required=False)
@click.option("--note", default="", help="Why, for whoever reads it later.")
@click.option("--list", "listed", is_flag=True, help="Only list what was acknowledged before.")
@click.option("--yes", is_flag=True, help="Do not ask; for scripts.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def acknowledge(table: str | None, *, note: str, listed: bool, yes: bool, as_json: bool) -> None:
    """Say that you have seen which changes were missed, of TABLE (schema.table) or of all.

    Health is green again until the next miss. Nothing is brought back by it, and the totals stay.
    """
    with open_project() as project:
        ledger = project.ledger
        with ledger.transaction() as conn:
            seen = unseen_misses(conn, ledger.project_id, table)
            before = acknowledgements(conn, ledger.project_id)
            now = clock_for(load_project(conn, ledger.project_id)).now()
        if listed:
            _list(before, as_json=as_json)
            return
        if seen and not as_json:
            for one in seen:
                say(one.line())
        if seen:
            if not confirmed("Acknowledge them? `tidings reconcile` says what can be brought back", yes=yes):
                raise NotAllowed("Nothing was changed.")
            note_seen(ledger, seen, by=person_name(), now=now, note=note)
    if as_json:
        say_json([{"table": one.relation, "missed": one.missed, "keys_only": len(one.key_ids)} for one in seen])
    else:
        say("Acknowledged." if seen else "Nothing was missed that nobody has seen.", colour="green")


def _list(before: Sequence[Acknowledgement], *, as_json: bool) -> None:
    if as_json:
        say_json([asdict(one) for one in before])
        return
    if not before:
        say("Nothing was acknowledged yet.")
    for one in before:
        say(f"{one.at:%Y-%m-%d %H:%M} UTC  {one.relation}: {one.missed:,} missed, {one.keys_only:,} by key only")
        say(f"    {': '.join(filter(None, (one.by, one.note)))}", dim=True)
