"""`tidings doctor`."""

from dataclasses import asdict

import click

from cli.terminal import say, say_json
from runtime.postgres.address import parse_url
from runtime.settings import Settings, load_settings
from runtime.setup.doctor import examine
from runtime.setup.finding import Finding, Level
from runtime.setup.look import connect, rows
from runtime.setup.names import Roles, roles_for
from runtime.setup.script import full_script

_MARK = {Level.OK: ("✓", "green"), Level.NOTE: ("·", None), Level.WARNING: ("!", "yellow"), Level.PROBLEM: ("✗", "red")}


@click.command()
@click.argument("database_url", required=False)
@click.option(
    "--grants",
    is_flag=True,
    help="Print the SQL of everything Tidings needs; works before `tidings init` with DATABASE_URL.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(database_url: str | None, *, grants: bool, as_json: bool) -> None:
    """Check connections, rights, binding and health; exits with 1 if anything is wrong."""
    if grants:
        say(full_script(database_url) if database_url else _project_script(load_settings()))
        return
    findings = examine(load_settings())
    if as_json:
        say_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            _show(finding)
    if any(finding.level is Level.PROBLEM for finding in findings):
        raise SystemExit(1)


def _project_script(settings: Settings) -> str:
    """Return the script for a project that is set up: the installer sees every table's shape and what was approved."""
    urls = (settings.installer_url, settings.ledger_url, settings.reader_url)
    logins = [parse_url(url).get("user", "") for url in urls]
    with connect(settings.installer_url) as conn:
        database = rows(conn, "server")[0]["database"]
    return full_script(
        settings.installer_url, Roles(*logins) if len(set(logins)) == len(logins) else roles_for(database)
    )


def _show(finding: Finding) -> None:
    mark, colour = _MARK[finding.level]
    say(f"{mark} {finding.message}", colour=colour)
    if finding.next_step:
        say(f"    {finding.next_step}")
    for statement in finding.sql:
        say(f"    {statement}", dim=True)
