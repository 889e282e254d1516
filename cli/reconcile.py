"""`tidings reconcile`."""

import re
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from cli.person import confirmed, person_name, require_person
from cli.project import open_project
from cli.terminal import say, say_json
from runtime.engine.ask_provider import LookedUp, ask_resend
from runtime.engine.reconcile import Reconciliation, Scene, set_scene
from runtime.engine.reconcile import reconcile as compare
from runtime.engine.repair import Repaired, repair
from runtime.engine.seams import Seam
from runtime.errors import NotAllowed, TidingsError
from runtime.ledger.project import clock_for, load_project
from runtime.settings import Settings
from runtime.spec.duration import DURATION_FIX, parse_duration
from runtime.visible import visible

_STAGES = {
    "rows": "rows → changes",
    "keys": "changes known by key only",
    "missed": "changes that were only counted",
    "changes": "changes → runs",
    "runs": "runs → work",
    "sends": "runs → messages",
    "messages": "messages → provider ids",
    "failures": "dead letters",
    "slots": "slots of schedules",
}
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@click.command()
@click.argument("workflow", required=False)
@click.option("--since", default="24h", show_default=True, help="How far back, such as 24h or '3 days'.")
@click.option("--from", "begin", type=click.DateTime(), help="From when, in UTC, instead.")
@click.option("--to", "end", type=click.DateTime(), help="Until when, in UTC; default: now.")
@click.option("--repair", "wants_repair", is_flag=True, help="Bring back what can be; a person at a terminal is asked.")
@click.option("--ask-provider", is_flag=True, help="Look uncertain messages up where the provider lists what it took.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def reconcile(
    workflow: str | None,
    *,
    since: str,
    begin: datetime | None,
    end: datetime | None,
    wants_repair: bool,
    ask_provider: bool,
    as_json: bool,
) -> None:
    """Compare rows, changes, runs, messages and provider ids, of WORKFLOW or of all; exits with 1 if any is missing.

    What is on its way is not missing. With --repair, what can be brought back is, once a person at a terminal has seen
    it and said yes: what is stuck gets its work back, and rows and keys are matched as they are now.
    """
    if wants_repair:
        require_person("A repair")
    with open_project() as project:
        with project.ledger.connection() as conn:
            now = clock_for(load_project(conn, project.ledger.project_id)).now()
        start = begin.replace(tzinfo=UTC) if begin else now - _span(since)
        until = end.replace(tzinfo=UTC) if end else None
        if until is not None and until <= start:
            raise TidingsError("The window ends before it begins. Give --from and --to in this order.")
        scene = set_scene(project.ledger, project.source, begin=start, end=until, workflow=workflow)
        found = compare(scene)
        asked = _ask(scene, project.settings) if ask_provider else ()
        if as_json:
            totals = {"missing": found.missing, "recoverable": found.recoverable}
            say_json(asdict(found) | totals | {"asked": [asdict(one) for one in asked]})
        else:
            _show(found)
            for one in asked:
                say(visible(one.line()), colour="yellow")
        if wants_repair:
            _repair(scene, found)
    if found.missing:
        raise SystemExit(1)


def _ask(scene: Scene, settings: Settings) -> tuple[LookedUp, ...]:
    if not settings.resend_api_key:
        raise NotAllowed(
            "Only Resend lists what it took, and RESEND_API_KEY is not set. Mail servers and Slack can't be asked: "
            "look uncertain messages up there by recipient and time."
        )
    return ask_resend(scene.ledger, scene.window, api_key=settings.resend_api_key, url=settings.resend_api_url)


def _repair(scene: Scene, found: Reconciliation) -> None:
    if not found.recoverable:
        say("There is nothing to repair.")
        return
    question = f"Bring back {found.recoverable:,}? People may be told late of what happened in this time."
    if not confirmed(question):
        raise NotAllowed("Nothing was changed.")
    say(_done(repair(scene, by=person_name())), colour="green")


def _done(done: Repaired) -> str:
    said = {
        "run(s) started": done.runs_started,
        "key(s) settled": done.keys_settled,
        "change(s) to be matched again": done.changes_returned,
        "run(s) going on": done.runs_revived,
        "request(s) going on": done.requests_revived,
    }
    return (
        f"Repaired: {', '.join(f'{number:,} {what}' for what, number in said.items() if number) or 'nothing was left'}."
    )


def _show(found: Reconciliation) -> None:
    say(f"From {found.begin:%Y-%m-%d %H:%M:%S} to {found.end:%Y-%m-%d %H:%M:%S} UTC", bold=True)
    if found.seams:
        header = ("", "", "in", "there", "missing", "recoverable", "unknown")
        _table([header, *(_cells(seam) for seam in found.seams)])
    else:
        say("Nothing happened.")
    for seam in found.seams:
        if seam.why:
            say(visible(f"{seam.subject or 'everything'}, {_STAGES[seam.stage]}: {seam.why}"), colour=_colour(seam))
            for example in seam.examples:
                say(visible(f"    {example}"), dim=True)
    for note in found.notes:
        say(visible(note), dim=True)
    verdict = (
        f"{found.missing:,} missing, {found.recoverable:,} of them recoverable." if found.missing else "All is there."
    )
    say(verdict, colour="red" if found.missing else "green")


def _colour(seam: Seam) -> str | None:
    return "red" if seam.missing else None


def _cells(seam: Seam) -> tuple[str, ...]:
    numbers = (seam.seen, seam.through, seam.missing, seam.recoverable, seam.unknown)
    return (visible(seam.subject), _STAGES[seam.stage], *(f"{number:,}" if number else "·" for number in numbers))


def _table(rows: list[tuple[Any, ...]]) -> None:
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    for row in rows:
        cells = [
            text.ljust(width) if place < 2 else text.rjust(width)  # noqa: PLR2004  # two columns of words
            for place, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        say("  ".join(cells).rstrip())


def _span(text: str) -> timedelta:
    """Read a duration; also `24h` and the like."""
    written = re.sub(r"(\d)\s*([mhdw])\b", lambda found: f"{found[1]} {_UNITS[found[2]]}", text)
    try:
        duration = parse_duration(written)
    except ValueError as error:
        raise TidingsError(f"{error} {DURATION_FIX}") from error
    return timedelta(seconds=duration.seconds, days=31 * duration.months)
