"""What a person sees before they say yes to a workflow, and the question itself."""

import difflib
from collections.abc import Iterator
from typing import Any

import click

from cli.person import person_name
from cli.problems import show_problems
from cli.project import OpenProject
from cli.terminal import say
from runtime.ledger.project import load_project
from runtime.publishing.approvals import Prepared, decide
from runtime.publishing.pausing import list_pauses
from runtime.publishing.publish import Published, publish
from runtime.publishing.reach import list_contacts
from runtime.publishing.reports import StoredReport, load_report
from runtime.publishing.versions import StoredWorkflow, load_workflow
from runtime.spec.model import SendStep
from runtime.visible import visible

SHOWN_OF_DIGEST = 12
_MODES = {
    "inbox": "inbox: nothing leaves this machine but to allowed addresses",
    "production": "production: the messages go to people",
}


def review(project: OpenProject, prepared: Prepared) -> None:
    """Print what a yes would publish."""
    found = load_workflow(project.ledger, prepared.name)
    report = load_report(project.ledger, prepared.digest)
    with project.ledger.transaction() as conn:
        mode = load_project(conn, project.ledger.project_id).mode
    say(prepared.name, bold=True)
    say(_indented(visible(prepared.about.strip())))
    say()
    say("In words, from the spec alone", bold=True)
    say(_indented(visible(prepared.words)))
    say()
    say("Recipients", bold=True)
    for step in found.draft.workflow.steps:
        if isinstance(step, SendStep):
            say(f"    {step.send}, by {' or else '.join(step.channels)}:")
            say(_indented(visible(step.to.strip()), by=8), dim=True)
    for contact in list_contacts(project.ledger):
        if prepared.name in contact.used_by:
            say(f"    {contact.name} is {visible(contact.address)}")
    for line in _changes(found):
        say(line)
    say()
    show_problems(prepared.warnings)
    say(f"Test    {_report_words(report)}")
    say(f"Mode    {_MODES[mode]}")
    say(f"Digest  {prepared.digest[:SHOWN_OF_DIGEST]}")
    say()


def show_missing(prepared: Prepared) -> None:
    """Print what stands in the way of a publish."""
    show_problems((*prepared.problems, *prepared.warnings))
    say(f"{prepared.name} can't be published yet.", colour="red")
    for line in prepared.missing:
        say(f"    {visible(line)}")


def ask_and_publish(project: OpenProject, prepared: Prepared) -> bool:
    """Show it, ask the person at the terminal, and on a yes record their approval and publish; return their answer."""
    review(project, prepared)
    if not click.confirm("Publish this?"):
        say("Nothing was published; the question stays open.")
        return False
    if prepared.missing and prepared.approval_id is not None:
        decide(project.ledger, prepared.approval_id, approve=True, by=person_name(), via="terminal")
    show_published(project, prepared.name, publish_prepared(project, prepared))
    return True


def publish_prepared(project: OpenProject, prepared: Prepared) -> Published:
    """Publish exactly what was prepared."""
    url = project.settings.installer_url
    return publish(project.ledger, project.source, url, prepared.name, digest=prepared.digest)


def show_published(project: OpenProject, name: str, published: Published) -> None:
    """Print what is live now, and what it waits for."""
    say(f"{name} is live: version {published.number}.", colour="green")
    with project.ledger.transaction() as conn:
        pauses = [pause for pause in list_pauses(conn, project.ledger.project_id) if pause.workflow in {"", name}]
    for pause in pauses:
        say(visible(pause.line()), colour="yellow")
    say(f"It acts {'once that is over' if pauses else 'from now on'}. `tidings unpublish {name}` ends it.")


def _changes(found: StoredWorkflow) -> Iterator[str]:
    """Yield how the draft's text differs from the live version's."""
    if found.live is None:
        return
    yield ""
    yield click.style(f"Changes to version {found.live.number}, which is live", bold=True)
    before, after = found.live.source.splitlines(), found.draft.source.splitlines()
    colours = {"+": "green", "-": "red"}
    for line in list(difflib.unified_diff(before, after, lineterm="", n=1))[2:]:
        yield click.style(f"    {visible(line)}", fg=colours.get(line[0]))


def _report_words(stored: StoredReport | None) -> str:
    if stored is None:
        return "none"
    report: dict[str, Any] = stored.report
    scenarios = report.get("scenarios")
    count = f", {len(scenarios)} scenario(s)" if isinstance(scenarios, list) else ""
    seconds = report.get("seconds")
    took = f" in {seconds:.1f} s" if isinstance(seconds, int | float) else ""
    return f"{'passed' if stored.passed else 'failed'}{count}{took}, at {stored.at:%Y-%m-%d %H:%M} UTC"


def _indented(text: str, *, by: int = 4) -> str:
    return "\n".join(" " * by + line for line in text.splitlines())
