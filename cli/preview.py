"""`tidings preview`."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from cli.given import read_workflow
from cli.project import open_project
from cli.terminal import say, say_json
from runtime.errors import NotFound
from runtime.publishing.preview import Preview, PreviewMessage, preview_message
from runtime.visible import visible


@click.command()
@click.argument("workflow", metavar="FILE|NAME")
@click.option("--key", default=None, help="The row's primary key, or the item's; several values with commas.")
@click.option("--step", default=None, help="Only this send.")
@click.option("--locale", default=None, help="Show the texts that people of this language get.")
@click.option("--html", "html_file", default=None, metavar="FILE", help="Write the first mail's HTML to a file.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def preview(
    workflow: str, *, key: str | None, step: str | None, locale: str | None, html_file: str | None, as_json: bool
) -> None:
    """Show what people would get for a real row: the newest that matches, or the one with --key.

    Nothing is stored and nothing is sent.
    """
    with open_project() as project:
        spec = read_workflow(project.ledger, workflow)
        found = preview_message(project.source, project.ledger, spec, key=key, step=step, locale=locale)
    if html_file is not None:
        _write_html(found, Path(html_file))
    if as_json:
        say_json(_data(found))
    else:
        _show(found)


def _data(found: Preview) -> dict[str, Any]:
    """Return a preview as data, without the rows that its texts were made of."""
    messages = [{name: value for name, value in asdict(one).items() if name != "rows"} for one in found.messages]
    return {"row_key": found.row_key, "messages": messages, "notes": found.notes}


def _show(found: Preview) -> None:
    say(f"For {visible(found.row_key)}", bold=True)
    for message in found.messages:
        say()
        _show_message(message)
    if found.notes:
        say()
    for note in found.notes:
        say(f"· {visible(note)}", colour="yellow")


def _show_message(message: PreviewMessage) -> None:
    locale = f" ({visible(message.locale)})" if message.locale else ""
    say(f"To      {visible(message.address)} by {message.channel}{locale}")
    if message.subject:
        say(f"Subject {visible(message.subject)}")
    for line in visible(message.text.strip()).splitlines():
        say(f"    {line}".rstrip())


def _write_html(found: Preview, file: Path) -> None:
    html = next((message.html for message in found.messages if message.html), None)
    if html is None:
        raise NotFound("There is no mail to write: nobody gets one for this row. See the notes without --html.")
    file.write_text(html, encoding="utf-8")
    say(f"Wrote {file}.", dim=True)
