"""`tidings retention`: for how long things are kept."""

from dataclasses import asdict, replace
from datetime import timedelta
from typing import Any

import click

from cli.person import require_person
from cli.project import OpenProject, open_project
from cli.terminal import say, say_json
from runtime.engine.retention import KeepTimes, keep_times, set_keep_times
from runtime.errors import NotAllowed

_WORDS = {
    "payloads": "rows as captured, what queries gave, texts and requests, the local inbox",
    "messages": "runs, messages and their status, dead letters: who got what, when, and why not",
    "counts": "numbers by the hour and the day; totals stay for ever",
}
_DAYS = click.IntRange(1, 36_500)


@click.command()
@click.option("--payloads", type=_DAYS, metavar="DAYS", help=f"Keep {_WORDS['payloads']}.")
@click.option("--messages", type=_DAYS, metavar="DAYS", help=f"Keep {_WORDS['messages']}.")
@click.option("--counts", type=_DAYS, metavar="DAYS", help=f"Keep {_WORDS['counts']}.")
@click.option("--json", "as_json", is_flag=True, help="Print the times as JSON, in days.")
def retention(*, as_json: bool, **days: int | None) -> None:
    """Show for how long things are kept, or change it.

    Only a person at a terminal changes it. What is under way is never removed; slots, suppressions, versions and
    approvals are kept for ever.
    """
    wanted = {name: timedelta(days=count) for name, count in days.items() if count is not None}
    if wanted:
        require_person("Changing for how long things are kept")
    with open_project() as project:
        with project.ledger.connection() as conn:
            now = keep_times(conn, project.ledger.project_id)
        if wanted:
            _change(project, now, wanted)
        elif as_json:
            say_json({name: time.days for name, time in asdict(now).items()})
        else:
            _show(now)


def _change(project: OpenProject, now: KeepTimes, wanted: dict[str, Any]) -> None:
    times = replace(now, **wanted)
    _show(times)
    shorter = [name for name in _WORDS if getattr(times, name) < getattr(now, name)]
    if shorter:
        say(
            f"What is older is removed within minutes, and can't be brought back: {', '.join(shorter)}.",
            colour="yellow",
        )
    if not click.confirm("Keep things for these times?"):
        raise NotAllowed("Nothing was changed.")
    with project.ledger.transaction() as conn:
        set_keep_times(conn, project.ledger.project_id, times)
    say("Changed.", colour="green")


def _show(times: KeepTimes) -> None:
    for name, words in _WORDS.items():
        say(f"{name:9} {getattr(times, name).days:5} days  {words}")
