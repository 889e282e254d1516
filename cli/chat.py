"""`tidings chat`: the same agent, for as long as you have something to say about a workflow."""

import click

from cli.draft import ask, listen, show, work
from cli.drafters import open_drafter
from cli.person import require_person
from cli.terminal import say
from runtime.settings import load_settings
from tools.drafter import Drafter, DraftOutcome


@click.command()
@click.option("--workflow", default="", help="Change this workflow instead of making a new one.")
def chat(*, workflow: str) -> None:
    """Write a workflow in a conversation. It stays a draft until you approve it with `tidings approve`."""
    require_person("A conversation")
    with open_drafter(load_settings()) as drafter:
        outcome = work(drafter, listen("Who shall hear what, and when?"), workflow=workflow)
        while following := _follow(drafter, outcome):
            outcome = following
    if outcome.status != "needs_approval":  # that one has been shown
        show(outcome)
    if outcome.status == "failed":
        raise SystemExit(1)


def _follow(drafter: Drafter, outcome: DraftOutcome) -> DraftOutcome | None:
    """Return what comes of the person's next words; None when they have none, or nothing can follow."""
    if outcome.status == "needs_input":
        return work(drafter, "", thread=outcome.thread, answer=ask(outcome))
    if outcome.status != "needs_approval":
        return None
    show(outcome)
    say()
    wanted = listen("What shall be different? Nothing: press Enter.", default="")
    return work(drafter, "", thread=outcome.thread, answer=wanted) if wanted.strip() else None
