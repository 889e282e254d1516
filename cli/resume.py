"""`tidings resume`."""

from datetime import timedelta

import click

from cli.person import confirmed, person_name, require_person
from cli.project import open_project
from cli.terminal import say, say_json
from runtime.engine.resuming import Resumed, Waiting, waiting
from runtime.engine.resuming import resume as let_go
from runtime.errors import NotAllowed
from runtime.visible import visible


@click.command()
@click.argument("workflow", required=False)
@click.option("--discard", is_flag=True, help="End what waits instead of letting it go on; each keeps the reason.")
@click.option("--reason", default="", metavar="WHY", help="Is kept with what was decided.")
@click.option("--yes", is_flag=True, help="Do not ask; a person at a terminal is needed all the same.")
@click.option("--json", "as_json", is_flag=True, help="Print what waits as JSON, and change nothing.")
def resume(workflow: str | None, *, discard: bool, reason: str, yes: bool, as_json: bool) -> None:
    """Say what waits for WORKFLOW, or because everything is paused, and let it go on. Only for a person at a terminal.

    Runs ask afresh whom they tell and whether `while` still holds. Messages that were written before the pause go out
    as they are. What happened until now is not counted by the brake.
    """
    if not as_json:
        require_person("Resuming")
    with open_project() as project:
        found = waiting(project.ledger, workflow)
        if as_json:
            say_json(found and _data(found))
            return
        if found is None:
            say(f"{workflow} is not paused by itself." if workflow else "Not everything is paused.")
            return
        _show(found, discard=discard)
        question = "Discard all of it and go on?" if discard else "Let all of it go on?"
        if not confirmed(question, yes=yes):
            raise NotAllowed("Nothing was changed.")
        ended = let_go(project.ledger, workflow, by=person_name(), discard=discard, why=reason)
    say(_done(workflow, ended, discard=discard), colour="green")


def _show(found: Waiting, *, discard: bool) -> None:
    say(visible(found.pause.line()), colour="yellow")
    asked, frozen = ("", "") if discard else ("; they ask afresh whom they tell", "; they go out as they are")
    say(f"Paused for    {timedelta(seconds=int((found.now - found.pause.at).total_seconds()))}")
    say(f"Runs          {found.runs:,} wait{asked}")
    say(f"Messages      {found.messages:,} are written, to {found.people:,} address(es){frozen}")
    say(f"Changes       {found.changes:,} are captured and not yet matched")
    say(f"Slots         {found.slots:,} passed by; they are not made up for")
    if found.oldest:
        say(f"The oldest    {found.oldest:%Y-%m-%d %H:%M:%S} UTC")


def _done(workflow: str | None, ended: Resumed | None, *, discard: bool) -> str:
    what = workflow or "Everything that is not paused by itself"
    if ended is not None and discard:
        return f"{what} goes on; {ended.runs:,} run(s) and {ended.messages:,} message(s) that waited were discarded."
    return f"{what} goes on; what waited is taken up in order."


def _data(found: Waiting) -> dict[str, object]:
    return {
        "workflow": found.pause.workflow,
        "kind": found.pause.kind,
        "paused_at": found.pause.at,
        "paused_by": found.pause.by,
        "why": found.pause.why,
        "runs": found.runs,
        "messages": found.messages,
        "people": found.people,
        "changes": found.changes,
        "slots": found.slots,
        "oldest": found.oldest,
    }
