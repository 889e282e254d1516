"""`tidings show`."""

from typing import Any

import click

from cli.project import open_project
from cli.terminal import interactive, say, say_json
from runtime.publishing.drafts import Draft
from runtime.publishing.drift import has_drifted
from runtime.publishing.versions import StoredWorkflow, Version, load_workflow
from runtime.spec.canonical import canonical
from runtime.spec.words import in_words
from runtime.visible import visible


@click.command()
@click.argument("name")
@click.option("--source", is_flag=True, help="Print only the draft's text, as it was written.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(name: str, *, source: bool, as_json: bool) -> None:
    """Show a workflow: its draft, and the version that is live."""
    with open_project() as project:
        found = load_workflow(project.ledger, name)
        drifted = found.live is not None and has_drifted(project.source, project.ledger, found.live)
    if source:
        text = found.draft.source.rstrip("\n")
        say(visible(text) if interactive() else text)
    elif as_json:
        live = found.live
        data = live and {**_live_data(live), "drifted": drifted}
        say_json({"name": name, "draft": _draft_data(found.draft), "live": data})
    else:
        _show(found, drifted=drifted)


def _show(found: StoredWorkflow, *, drifted: bool) -> None:
    draft, live = found.draft, found.live
    same = live is not None and live.compiled.spec == draft.workflow
    if live is not None:
        say(f"{draft.name}  live, version {live.number} since {live.published_at:%Y-%m-%d %H:%M} UTC", colour="green")
        _say_what(live.compiled.spec.about, in_words(live.compiled.spec))
    if drifted:
        say("The tables it reads have changed since. Validate, test and publish it again.", colour="yellow")
    if not same:
        say(f"{draft.name}  draft, revision {draft.revision}, by {draft.author} at {draft.saved_at:%Y-%m-%d %H:%M} UTC")
        _say_what(draft.workflow.about, in_words(draft.workflow))
    say()
    say(visible(draft.source.rstrip("\n")))


def _say_what(about: str, words: str) -> None:
    say(f"    {visible(' '.join(about.split()))}")
    say(f"    {visible(words)}", dim=True)


def _draft_data(draft: Draft) -> dict[str, Any]:
    return {
        "revision": draft.revision,
        "author": draft.author,
        "saved_at": draft.saved_at,
        "source": draft.source,
        "spec": canonical(draft.workflow),
        "words": in_words(draft.workflow),
    }


def _live_data(live: Version) -> dict[str, Any]:
    return {
        "number": live.number,
        "version_id": live.id,
        "digest": live.digest,
        "published_at": live.published_at,
        "source": live.source,
        "spec": canonical(live.compiled.spec),
        "words": in_words(live.compiled.spec),
    }
