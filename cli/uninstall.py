"""`tidings uninstall`: leaves nothing behind."""

import click

from cli.terminal import interactive, listed, progress, say
from runtime.errors import NotAllowed
from runtime.postgres.address import without_password
from runtime.postgres.server import PostgresServer
from runtime.settings import EMBEDDED_FOLDER, default_home, project_exists, read_project
from runtime.setup.embedded import embedded_server, start_embedded
from runtime.setup.look import connect
from runtime.setup.remove import Remains, find_remains, refuse_removal, removal_script, remove


@click.command()
@click.argument("admin_url", required=False)
@click.option("--yes", is_flag=True, help="Do not ask; for scripts.")
@click.option("--sql", "only_sql", is_flag=True, help="Print the SQL, change nothing.")
def uninstall(admin_url: str | None, *, yes: bool, only_sql: bool) -> None:
    """Remove everything Tidings put into a database: hooks, schema tidings, policies, grants, roles, and project.json.

    ADMIN_URL is the login that ran `tidings init`, or a superuser's. Works after a half-finished init or uninstall too.
    """
    if admin_url:
        _uninstall(admin_url, yes=yes, only_sql=only_sql)
        return
    server = _own_server()
    was_running = server.running()
    try:
        _uninstall(start_embedded(default_home(), progress()), yes=yes, only_sql=only_sql)
    finally:
        if not was_running:
            server.stop()
    say(f"The Postgres server that Tidings brought stays, with your tables: delete {server.home} to remove it.")


def _uninstall(url: str, *, yes: bool, only_sql: bool) -> None:
    home = default_home()
    with connect(url) as conn:
        remains = find_remains(conn, home)
        if only_sql:
            say(removal_script(remains))
            return
        if remains.nothing:
            say(f"Nothing of Tidings is in {without_password(url)}.")
            return
        _show(remains, url)
        refuse_removal(conn, remains)
        _ask(yes=yes)
        remove(conn, remains, progress())
        left = find_remains(conn, home)
    if not left.nothing:
        raise NotAllowed(f"Something is left: {left}. Run it again as a superuser.")
    say("Done. The database is as it was.", colour="green")


def _show(remains: Remains, url: str) -> None:
    say(f"This will be removed from {without_password(url)}:")
    parts = (
        ("hooks on", remains.hooks),
        ("the reader's policy on", remains.policies),
        ("schema tidings with everything in it: workflows, runs, messages", ("",) if remains.schema_owner else ()),
        (f"{len(remains.grants)} grant(s) on your tables and schemas", ("",) if remains.grants else ()),
        ("roles", remains.roles),
    )
    for title, names in parts:
        if names:
            say(f"  {title}")
            for line in listed(name for name in names if name):
                say(line)
    if remains.others:
        say(f"  but not the roles that your DBA made: {', '.join(remains.others)}")
    if remains.project_file:
        say(f"  {remains.project_file}")


def _ask(*, yes: bool) -> None:
    if yes:
        return
    if not interactive():
        raise NotAllowed("Nobody is at a terminal to say yes. Run it again with --yes if this is what you want.")
    if not click.confirm("Remove all of it? What Tidings remembers can't be brought back"):
        raise NotAllowed("Nothing was changed.")


def _own_server() -> PostgresServer:
    """Return the embedded server of this home; no login for another database is kept."""
    home = default_home()
    if (home / EMBEDDED_FOLDER).exists() and (not project_exists(home) or bool(read_project(home)["embedded"])):
        return embedded_server(home)
    raise NotAllowed(
        "Tidings keeps no login that may remove its roles. "
        "Give the address of the role that ran `tidings init`: `tidings uninstall <DATABASE_URL>`."
    )
