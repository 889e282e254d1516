"""`tidings why`."""

from dataclasses import asdict

import click

from cli.project import open_project
from cli.terminal import say, say_json
from runtime.engine.why import explain
from runtime.visible import visible


@click.command()
@click.argument("who", required=False, default="")
@click.option("--workflow", help="Only of this workflow.")
@click.option("--row", metavar="TABLE KEY", nargs=2, type=str, help="About a row, such as --row shop.orders 17.")
@click.option("--run", "run_id", type=int, help="About a run.")
@click.option("--message", "message_id", type=int, help="About a message.")
@click.option("--limit", default=5, show_default=True, help="The most runs to tell of, the newest first.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def why(
    who: str,
    *,
    workflow: str | None,
    row: tuple[str, str] | None,
    run_id: int | None,
    message_id: int | None,
    limit: int,
    as_json: bool,
) -> None:
    """Say why WHO (an address) got a message, or why not: from the row that changed to what the provider said."""
    if not any((who, workflow, row, run_id, message_id)):
        raise click.UsageError("Say whom or what it is about: an address, --row, --run, --message or --workflow.")
    with open_project() as project:
        answer = explain(
            project.ledger,
            project.source,
            address=who or None,
            workflow=workflow,
            row=row,
            run_id=run_id,
            message_id=message_id,
            limit=limit,
        )
    if as_json:
        say_json(asdict(answer))
        return
    for line in answer.lines():
        say(visible(line))
