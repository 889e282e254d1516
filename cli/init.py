"""`tidings init`: read-only first, then only after a yes."""

import click

from cli.init_words import found_words, plan_words
from cli.terminal import interactive, progress, say
from runtime.errors import NotAllowed, TidingsError
from runtime.postgres.address import without_password
from runtime.settings import default_home, load_settings, project_exists, read_environment, read_project
from runtime.setup.access import Access, given_access
from runtime.setup.choice import Wishes
from runtime.setup.embedded import start_embedded
from runtime.setup.prepare import Preparation, apply, prepare
from runtime.setup.script import script
from runtime.spec.schema import AddressKind

_TABLES = "Comma-separated; schema.table, * and ? are wildcards; a bare name is in public."


@click.command()
@click.argument("database_url", required=False, envvar="DATABASE_URL")
@click.option("--yes", is_flag=True, help="Do not ask; for scripts.")
@click.option("--sql", "only_sql", is_flag=True, help="Print the SQL of the plan, change nothing.")
@click.option("--tables", default="", help=f"Approve exactly these tables. {_TABLES}")
@click.option("--exclude", default="", help=f"Leave these tables out. {_TABLES}")
@click.option(
    "--address",
    multiple=True,
    metavar="SCHEMA.TABLE.COLUMN=KIND",
    help="Say what a column holds: email, phone, slack, none.",
)
@click.option("--name", default="", help="The project's name; default: the database's.")
@click.option("--installer-url", default="", help="The login of a role that a DBA made, with the two below.")
@click.option("--ledger-url", default="", help="See --installer-url.")
@click.option("--reader-url", default="", help="See --installer-url.")
def init(
    database_url: str | None,
    *,
    yes: bool,
    only_sql: bool,
    tables: str,
    exclude: str,
    address: tuple[str, ...],
    name: str,
    installer_url: str,
    ledger_url: str,
    reader_url: str,
) -> None:
    """Look at a database, say what Tidings wants in it and why, and set it up after a yes.

    Without DATABASE_URL, Tidings starts a Postgres of its own in its home (TIDINGS_HOME, default .tidings). Run it
    again at any time: it repairs what is missing, brings new tables in, and asks only about the difference.
    """
    home = default_home()
    url = database_url or _own_database()
    wishes = Wishes(_split(tables), _split(exclude), _addresses(address))
    given = _given(installer_url, ledger_url, reader_url)
    if not only_sql:
        say(f"Looking at {without_password(url)}, read-only")
    preparation = prepare(home, url, wishes, given)
    if only_sql:
        say(script(preparation.plan))
        return
    _show(preparation)
    if preparation.nothing_to_do:
        say("Everything is as it should be; there is nothing to do.", colour="green")
        return
    _refuse_obstacles(preparation)
    _ask(yes=yes)
    access = apply(preparation, name=name, environment=read_environment())
    _show_done(preparation, access)


def _show(preparation: Preparation) -> None:
    say()
    for line in found_words(preparation.plan.found):
        say(line)
    words = plan_words(preparation)
    if words:
        say()
        say("What Tidings wants, and why", bold=True)
    for line in words:
        say(line)
    say()


def _refuse_obstacles(preparation: Preparation) -> None:
    if not preparation.obstacles:
        return
    plan, roles = preparation.plan, preparation.plan.roles
    todo = f", or have a DBA run this script:\n\n{script(plan)}" if plan.administration else "."
    raise NotAllowed(
        f"This login can't do all of that: {'; '.join(preparation.obstacles)}.\n"
        f"Give the address of a role that may{todo}\n"
        "Then run the same `tidings init` again, with the addresses of the three logins:\n"
        f"  --installer-url postgresql://{roles.installer}:…@… --ledger-url postgresql://{roles.ledger}:…@… "
        f"--reader-url postgresql://{roles.reader}:…@…"
    )


def _ask(*, yes: bool) -> None:
    if yes:
        return
    if not interactive():
        raise NotAllowed(
            "Nobody is at a terminal to say yes. Run it again with --yes if this is what you want; --sql shows the SQL."
        )
    if not click.confirm("Go ahead? (`--sql` shows the exact statements, `tidings uninstall` takes everything back)"):
        raise NotAllowed("Nothing was changed.")


def _show_done(preparation: Preparation, access: Access) -> None:
    say(f"Done. The logins are in {preparation.home / 'project.json'}, readable by you only.", colour="green")
    if access.note:
        say(access.note, colour="yellow")
    if not set(preparation.plan.choice.addresses.values()) & {AddressKind.EMAIL, AddressKind.SLACK}:
        say(
            "No column with e-mail or Slack addresses was found. Name one by running this again with --address, or "
            "register fixed addresses with `tidings contact add NAME ADDRESS`, before a workflow can send.",
            colour="yellow",
        )
    if read_project(preparation.home)["embedded"]:
        say(f"Postgres keeps running, until `tidings up` ends: {preparation.url}")
    say("Next: `tidings up` runs everything; `tidings doctor` checks it.")


def _own_database() -> str:
    """Return the embedded server's URL; for a project elsewhere the login that may set up is not kept anywhere."""
    home = default_home()
    if project_exists(home) and not read_project(home)["embedded"]:
        place = without_password(load_settings(home).ledger_url)
        raise NotAllowed(
            f"{home} holds a project at {place}. Give that database's address: `tidings init <DATABASE_URL>`."
        )
    return start_embedded(home, progress())


def _given(installer_url: str, ledger_url: str, reader_url: str) -> Access | None:
    urls = (installer_url, ledger_url, reader_url)
    if not any(urls):
        return None
    if not all(urls):
        raise TidingsError("Give all three of --installer-url, --ledger-url and --reader-url, or none of them.")
    return given_access(*urls)


def _split(names: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in names.split(",") if name.strip())


def _addresses(pairs: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for pair in pairs:
        path, equals, kind = pair.partition("=")
        if not equals:
            raise TidingsError(f"--address is {pair!r}: it needs schema.table.column=kind.")
        found[path.strip()] = kind.strip()
    return found
