"""`tidings save`."""

import click

from cli.given import read_text
from cli.person import person_name
from cli.problems import counted, show_problems
from cli.project import OpenProject, open_project
from cli.terminal import say
from runtime.errors import Invalid
from runtime.publishing.drafts import Draft, save_draft
from runtime.publishing.verdict import judge


@click.command()
@click.argument("file")
@click.option(
    "--revision", type=int, default=None, help="Save only on top of this revision of the draft; 0: a new one."
)
def save(file: str, *, revision: int | None) -> None:
    """Save a spec as a draft under the name that it gives itself; problems are told, and kept with it."""
    with open_project() as project:
        draft = save_file(project, file, revision=revision)
        verdict = judge(project.source, project.ledger, draft.workflow)
    show_problems((*verdict.problems, *verdict.warnings))
    say(f"Saved {draft.name}, revision {draft.revision}.", colour="green")
    if verdict.problems:
        say(f"It has {counted(len(verdict.problems), 'problem')}: correct them and save it again.")
    else:
        say(f"Next: `tidings test {draft.name}`, then `tidings approve {draft.name}`.")


def save_file(project: OpenProject, file: str, *, revision: int | None = None) -> Draft:
    """Save a file's spec; one whose shape can't be read ends the command with its problems."""
    try:
        return save_draft(project.ledger, read_text(file), author=person_name(), expected_revision=revision)
    except Invalid as error:
        show_problems(error.problems)
        say(f"{file} can't be read: {counted(len(error.problems), 'problem')}. Nothing was saved.", colour="red")
        raise SystemExit(1) from error
