"""`tidings doctor`: what stands in the way, each finding with its next step. Reads only."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import psycopg
from psycopg import Connection

from runtime.capture.health import capture_health
from runtime.errors import TidingsError
from runtime.ledger.migrate import pending
from runtime.ledger.project import check_binding, load_project
from runtime.postgres.address import parse_url, without_password
from runtime.settings import Settings
from runtime.setup.embedded import embedded_server
from runtime.setup.examine import examine_separation, examine_tables
from runtime.setup.finding import Finding, Level
from runtime.setup.look import connect, pooler, rows
from runtime.setup.names import Roles

_MISSED = (
    "Publish the table's workflows again where a trigger or a column is named. What was missed is not told of later: "
    "look at those rows yourself."
)
_AGAIN = "Run `tidings init <DATABASE_URL>` again; it repairs what is missing."


def examine(settings: Settings) -> list[Finding]:
    """Return every finding about connections, rights, binding and tables; one problem does not hide the next."""
    with ExitStack() as stack:
        sessions, findings = _log_in(settings, stack)
        if not findings:
            installer, ledger, reader = sessions
            roles = Roles(*(_current_role(session) for session in sessions))
            findings += _server(installer, settings.installer_url)
            findings += _ledger(installer, ledger, settings)
            findings += examine_tables(installer, roles)
            findings += examine_separation(ledger, reader)
    return [*findings, *_delivery(settings)]


def _log_in(settings: Settings, stack: ExitStack) -> tuple[list[Connection[Any]], list[Finding]]:
    """Log in as each role; a server that does not answer at all is not tried three times."""
    if settings.embedded and not embedded_server(settings.home).running():
        what = "The Postgres server that Tidings brought is not running."
        return [], [Finding(Level.PROBLEM, "no-connection", what, "Run `tidings up`.")]
    sessions: list[Connection[Any]] = []
    findings: list[Finding] = []
    for kind in Roles._fields:
        try:
            sessions.append(stack.enter_context(connect(getattr(settings, f"{kind}_url"))))
        except TidingsError as error:
            findings.append(Finding(Level.PROBLEM, "no-connection", f"The {kind} can't log in. {error}", _AGAIN))
            if isinstance(error.__cause__, psycopg.OperationalError) and "FATAL" not in str(error.__cause__):
                break
    return sessions, findings


def _current_role(conn: Connection[Any]) -> str:
    found = conn.execute("SELECT current_user::text").fetchone()
    return str(found[0]) if found else ""


def _server(conn: Connection[Any], url: str) -> Iterator[Finding]:
    server = rows(conn, "server")[0]
    between = pooler(conn, url)
    yield Finding(Level.OK, "server", f"PostgreSQL {server['version_name'].split()[0]} at {without_password(url)}")
    if between:
        yield Finding(
            Level.PROBLEM if "transaction" in between else Level.WARNING,
            "pooler",
            f"Between this machine and the server stands {between}.",
            "Run `tidings init` again with the server's direct address.",
        )
    if parse_url(url).get("user") != server["user"]:
        yield Finding(
            Level.WARNING,
            "shared-login",
            f"Tidings logs in as {parse_url(url).get('user')!r} and becomes its roles, because they could not log in.",
            "Let the roles in (pg_hba.conf, or the pooler's user list), then run `tidings init` again.",
        )


def _ledger(installer: Connection[Any], ledger: Connection[Any], settings: Settings) -> Iterator[Finding]:
    missing = pending(installer)
    if missing:
        what = f"Schema tidings lacks {', '.join(missing)}."
        yield Finding(Level.PROBLEM, "migrations", what, "Run `tidings init` again; it brings the schema up to date.")
        return
    try:
        project = load_project(ledger, settings.project_id)
        reason = check_binding(ledger, project, settings.environment)
    except (psycopg.Error, TidingsError) as error:
        yield Finding(Level.PROBLEM, "ledger", f"The ledger can't be read: {str(error).strip()}", _AGAIN)
        return
    if reason or project.held_reason:
        yield Finding(Level.PROBLEM, "held", reason or str(project.held_reason), "Decide, then run `tidings release`.")
    else:
        place = f"{project.database_name}, {project.environment}, mode {project.mode}"
        yield Finding(Level.OK, "binding", f"The ledger is at home ({place}).")
    yield from _capture(ledger, settings.project_id)


def _capture(ledger: Connection[Any], project_id: int) -> Iterator[Finding]:
    health = capture_health(ledger, project_id)
    if health.red:
        for reason in health.reasons:
            yield Finding(Level.PROBLEM, "capture", reason, _MISSED)
    else:
        size = f"{health.waiting:,} wait ({health.bytes / 1e6:,.0f} MB)"
        yield Finding(Level.OK, "capture", f"No captured change was missed; {size}.")
    for limit in health.limits:
        yield Finding(Level.NOTE, "capture-limit", limit)


def _delivery(settings: Settings) -> Iterator[Finding]:
    ways = {"Resend": settings.resend_api_key, "SMTP": settings.smtp_url, "Slack": settings.slack_token}
    ready = [name for name, key in ways.items() if key]
    if ready:
        yield Finding(Level.OK, "delivery", f"Can deliver through {', '.join(ready)}.")
    else:
        what = "No provider is configured: everything goes to the local inbox."
        yield Finding(
            Level.NOTE, "delivery", what, "Set RESEND_API_KEY, TIDINGS_SMTP_URL or SLACK_BOT_TOKEN to deliver for real."
        )
