"""`tidings brake`: how many people a workflow may tell within an hour before it is stopped and a person asked."""

from dataclasses import asdict

import click

from cli.person import confirmed, person_name, require_person
from cli.project import open_project
from cli.terminal import say, say_json
from runtime.errors import NotAllowed, NotFound
from runtime.ledger.database import Ledger
from runtime.publishing.pausing import Brake, list_brakes, set_brake

_MOST = 1_000_000_000
_WORDS = {"off": 0, "default": -1}


def _people(_ctx: click.Context, _option: click.Parameter, given: str | None) -> int | None:
    """Return the number of people, 0 for no brake, -1 for the project's; None: nothing is to be changed."""
    text = (given or "").strip().lower().replace(",", "")
    if given is None or text in _WORDS:
        return _WORDS.get(text)
    if text.isascii() and text.isdigit() and 0 < int(text) <= _MOST:
        return int(text)
    raise click.BadParameter(f"{given!r} is no number of people. Give one from 1, `off`, or `default`.")


@click.command()
@click.argument("workflow", required=False)
@click.option(
    "--per-hour", metavar="N", callback=_people, help="So many people; off: any number; default: as the others do."
)
@click.option("--yes", is_flag=True, help="Do not ask; a person at a terminal is needed all the same.")
@click.option("--json", "as_json", is_flag=True, help="Print the brakes as JSON.")
def brake(workflow: str | None, *, per_hour: int | None, yes: bool, as_json: bool) -> None:
    """List the brakes, or set that of WORKFLOW, or without it that of all others; a person at a terminal is needed.

    A workflow that is about to tell more people within an hour is paused before it does, and a person is asked.
    """
    if per_hour is not None:
        require_person("Changing a brake")
    with open_project() as project:
        if per_hour is None:
            _show(project.ledger, workflow, as_json=as_json)
            return
        if workflow is None and per_hour < 0:
            raise click.UsageError("Say of which workflow: only those have a brake of their own to take away.")
        what = {-1: "goes by the project's brake", 0: "has no brake"}.get(per_hour, f"tells up to {per_hour:,} an hour")
        if not confirmed(f"{workflow or 'Every workflow without a brake of its own'} {what}?", yes=yes):
            raise NotAllowed("Nothing was changed.")
        set_brake(project.ledger, workflow, None if per_hour < 0 else per_hour, by=person_name())
        _show(project.ledger, workflow, as_json=as_json)


def _show(ledger: Ledger, workflow: str | None, *, as_json: bool) -> None:
    found = [one for one in list_brakes(ledger) if workflow in {None, one.workflow}]
    if not found:
        raise NotFound(f"No workflow is called {workflow!r}. `tidings workflows` lists what there is.")
    if as_json:
        say_json([asdict(one) for one in found])
        return
    for one in found:
        say(_line(one))


def _line(one: Brake) -> str:
    limit = f"{one.per_hour:,} people an hour" if one.per_hour else "no brake"
    if not one.workflow:
        return f"Every workflow without one of its own: {limit}"
    told = f", {one.told:,} told within the last hour" if one.told else ""
    return f"{one.workflow}: {limit}{'' if one.own else ', as the project says'}{told}"
