"""The one place that reads the environment: a frozen Settings, read once when a process starts.

The project (where its database is, how to reach it) comes from `project.json` in Tidings' home, which `tidings init`
wrote. Everything else comes from the environment, or from `secrets.env` beside it for those who prefer a file. Both
files must be private (0600).
"""

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from runtime.errors import NotFound, TidingsError

Number = TypeVar("Number", int, float)
PROJECT_FILE = "project.json"
SECRETS_FILE = "secrets.env"
LOCK_FILE = "up.lock"
EMBEDDED_FOLDER = "postgres"
SCRATCH_FOLDER = "scratch"
DEFAULT_ENVIRONMENT = "development"
PRIVATE = 0o600


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything a process needs to know before it connects anywhere. Secrets do not show in its repr."""

    home: Path
    """TIDINGS_HOME, or `.tidings` in the current folder."""
    project: str
    project_id: int
    environment: str
    """TIDINGS_ENVIRONMENT; a project is bound to the environment it was set up in."""
    embedded: bool = False
    """Whether the database is the Postgres server that Tidings keeps in its home."""
    installer_url: str = field(repr=False)
    ledger_url: str = field(repr=False)
    reader_url: str = field(repr=False)
    broker_url: str = field(default="", repr=False)
    """TIDINGS_BROKER_URL: empty (Postgres, nothing to install), amqp://… or redis://…"""
    console_host: str = "127.0.0.1"
    console_port: int = 8710
    console_token: str = field(repr=False)
    resend_api_key: str = field(default="", repr=False)
    resend_api_url: str = "https://api.resend.com"
    resend_rate: float = 5.0
    """TIDINGS_RESEND_RATE: requests a second, by all processes together; 0: as many as there are."""
    smtp_url: str = field(default="", repr=False)
    slack_token: str = field(default="", repr=False)
    slack_api_url: str = "https://slack.com/api/"
    sender: str = "Tidings <tidings@localhost>"
    public_url: str = ""
    """Where recipients reach the console's public pages; empty: the console on this machine."""
    resend_webhook_secret: str = field(default="", repr=False)
    anthropic_api_key: str = field(default="", repr=False)
    anthropic_base_url: str = "https://api.anthropic.com"
    model: str = "claude-sonnet-5-5"
    lease_seconds: float = 60.0
    worker_processes: int = 2
    worker_threads: int = 8
    alert_contact: str = ""


def load_settings(home: Path | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    """Read project.json and the environment; an empty value counts as not given. Errors name the key and the value."""
    folder = home or default_home(environ)
    known = read_project(folder)
    given = _secrets(folder) | {key: value for key, value in environ.items() if value}
    values: dict[str, Any] = {
        name: setting.read(given[setting.key]) for name, setting in VARIABLES.items() if setting.key in given
    }
    return Settings(**{**known, "home": folder, "environment": DEFAULT_ENVIRONMENT, **values})


def default_home(environ: Mapping[str, str] = os.environ) -> Path:
    """Return TIDINGS_HOME, or `.tidings` in the current folder, as an absolute path."""
    return Path(environ.get("TIDINGS_HOME") or ".tidings").absolute()


def environment_for(home: Path, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the environment for another process of ours that shall use this home."""
    return {**environ, "TIDINGS_HOME": str(home)}


def read_environment(environ: Mapping[str, str] = os.environ) -> str:
    """Return TIDINGS_ENVIRONMENT, or development: what a new project is bound to."""
    variable = VARIABLES["environment"]
    return str(variable.read(environ[variable.key])) if environ.get(variable.key) else DEFAULT_ENVIRONMENT


def project_exists(home: Path) -> bool:
    """Return whether `tidings init` has finished for this home."""
    return (home / PROJECT_FILE).exists()


def write_project(
    home: Path,
    *,
    project: str,
    installer_url: str,
    ledger_url: str,
    reader_url: str,
    console_token: str,
    project_id: int = 1,
    embedded: bool = False,
) -> Path:
    """Write project.json, readable by its owner only, replacing it in one step; return its path."""
    home.mkdir(parents=True, exist_ok=True)
    values = {
        "project": project,
        "project_id": project_id,
        "embedded": embedded,
        "installer_url": installer_url,
        "ledger_url": ledger_url,
        "reader_url": reader_url,
        "console_token": console_token,
    }
    fresh = home / f"{PROJECT_FILE}.{os.getpid()}"
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE), "w") as file:
        json.dump(values, file, indent=2)
        file.write("\n")
    return fresh.replace(home / PROJECT_FILE)


def read_project(home: Path) -> dict[str, Any]:
    """Return what project.json says, with the port that an embedded server has now."""
    path = home / PROJECT_FILE
    if not path.exists():
        raise NotFound(
            f"No project in {str(home)!r}. "
            "Run `tidings init <DATABASE_URL>`, or set TIDINGS_HOME to the folder that has one."
        )
    _refuse_open(path)
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise TidingsError(
            f"{path} is not JSON ({error}). Restore it, or delete it and run `tidings init` again."
        ) from error
    if not isinstance(values, dict) or set(values) != _PROJECT_KEYS:
        missing = ", ".join(sorted(_PROJECT_KEYS ^ set(values)))
        raise TidingsError(
            f"{path} does not have the expected keys ({missing}). Run `tidings init` again to write it anew."
        )
    port = home / EMBEDDED_FOLDER / "port"
    if values["embedded"] and port.exists():
        for key in ("installer_url", "ledger_url", "reader_url"):
            values[key] = re.sub(r"(?<=@127\.0\.0\.1:)\d+", port.read_text().strip(), values[key])
    return values


@dataclass(frozen=True)
class Variable:
    """An environment variable: its key, how it is read, and one line for the documentation."""

    key: str
    parse: Callable[[str], Any]
    needs: str
    about: str
    secret: bool = False

    def read(self, value: str) -> Any:
        """Return the parsed value, or say which key has which unusable value."""
        try:
            return self.parse(value.strip())
        except ValueError as error:
            shown = "a value that can't be used (not shown, it is a secret)" if self.secret else repr(value)
            raise TidingsError(f"{self.key} is {shown}: it needs {self.needs}.") from error


def _matching(pattern: str) -> Callable[[str], str]:
    compiled = re.compile(pattern)

    def parse(value: str) -> str:
        if not compiled.fullmatch(value):
            raise ValueError(value)
        return value

    return parse


def _between(low: Number, high: Number) -> Callable[[str], Number]:
    def parse(value: str) -> Number:
        number = type(low)(value)
        if not low <= number <= high:  # also refuses nan
            raise ValueError(value)
        return number

    return parse


_ANY = _matching(r"\S+")
_POSTGRES = _matching(r"postgres(ql)?://\S+")
_HTTP = _matching(r"https?://\S+")
_A_POSTGRES = "a URL such as postgresql://role:password@host:5432/database"
_A_WEB = "a URL that begins with https:// or http://"
_A_KEY = "a key without blanks"

VARIABLES: dict[str, Variable] = {
    "environment": Variable(
        "TIDINGS_ENVIRONMENT",
        _matching(r"[a-z][a-z0-9_-]{0,30}"),
        "a lower-case name",
        "development, staging, production …",
    ),
    "installer_url": Variable(
        "TIDINGS_INSTALLER_URL", _POSTGRES, _A_POSTGRES, "instead of project.json's", secret=True
    ),
    "ledger_url": Variable("TIDINGS_LEDGER_URL", _POSTGRES, _A_POSTGRES, "instead of project.json's", secret=True),
    "reader_url": Variable("TIDINGS_READER_URL", _POSTGRES, _A_POSTGRES, "instead of project.json's", secret=True),
    "broker_url": Variable(
        "TIDINGS_BROKER_URL",
        _matching(r"(amqps?|rediss?)://\S+"),
        "a URL that begins with amqp:// or redis://, or nothing at all for Postgres",
        "RabbitMQ or Redis for workers on many machines; unset: Postgres",
        secret=True,
    ),
    "console_host": Variable("TIDINGS_CONSOLE_HOST", _ANY, "a host name or address", "where the console listens"),
    "console_port": Variable(
        "TIDINGS_CONSOLE_PORT", _between(1, 65535), "a port from 1 to 65535", "where the console listens"
    ),
    "console_token": Variable(
        "TIDINGS_CONSOLE_TOKEN",
        _matching(r"\S{16,}"),
        "at least 16 characters",
        "instead of project.json's",
        secret=True,
    ),
    "resend_api_key": Variable("RESEND_API_KEY", _ANY, _A_KEY, "sends e-mail through Resend", secret=True),
    "resend_api_url": Variable("RESEND_API_URL", _HTTP, _A_WEB, "another address for Resend's interface"),
    "resend_rate": Variable(
        "TIDINGS_RESEND_RATE", _between(0.0, 1000.0), "a number from 0 to 1000", "requests a second"
    ),
    "smtp_url": Variable(
        "TIDINGS_SMTP_URL",
        _matching(r"smtps?(\+starttls)?://\S+"),
        "a URL such as smtp://user:password@host:587",
        "sends e-mail through a mail server",
        secret=True,
    ),
    "slack_token": Variable("SLACK_BOT_TOKEN", _ANY, _A_KEY, "sends Slack messages", secret=True),
    "slack_api_url": Variable("SLACK_API_URL", _HTTP, _A_WEB, "another address for Slack's interface"),
    "sender": Variable(
        "TIDINGS_SENDER", _matching(r"[^\r\n]*@[^\r\n]*"), "an e-mail address, or Name <address>", "who e-mail is from"
    ),
    "public_url": Variable(
        "TIDINGS_PUBLIC_URL", _HTTP, _A_WEB, "where recipients reach unsubscribe pages; unset: the console's address"
    ),
    "resend_webhook_secret": Variable(
        "RESEND_WEBHOOK_SECRET", _ANY, _A_KEY, "proves that delivery reports come from Resend", secret=True
    ),
    "anthropic_api_key": Variable("ANTHROPIC_API_KEY", _ANY, _A_KEY, "lets the agent draft workflows", secret=True),
    "anthropic_base_url": Variable("ANTHROPIC_BASE_URL", _HTTP, _A_WEB, "another address for Anthropic's interface"),
    "model": Variable("TIDINGS_MODEL", _ANY, "a model's name", "which model the agent uses"),
    "lease_seconds": Variable(
        "TIDINGS_LEASE_SECONDS", _between(1.0, 3600.0), "seconds from 1 to 3600", "a worker's lease"
    ),
    "worker_processes": Variable(
        "TIDINGS_WORKER_PROCESSES", _between(1, 64), "a number from 1 to 64", "worker processes"
    ),
    "worker_threads": Variable("TIDINGS_WORKER_THREADS", _between(1, 64), "a number from 1 to 64", "threads in each"),
    "alert_contact": Variable("TIDINGS_ALERT_CONTACT", _ANY, "a contact's name", "who is told of alarms"),
}
"""Every variable that is read, by the field it fills; TIDINGS_HOME comes on top."""

_PROJECT_KEYS = {"project", "project_id", "embedded", "installer_url", "ledger_url", "reader_url", "console_token"}


def _secrets(home: Path) -> dict[str, str]:
    """Read `KEY=value` lines; only known keys, so that a misspelt one is not silently ignored."""
    path = home / SECRETS_FILE
    if not path.exists():
        return {}
    _refuse_open(path)
    known = {variable.key for variable in VARIABLES.values()}
    found: dict[str, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        key, equals, value = line.strip().removeprefix("export ").partition("=")
        if not key or key.startswith("#"):
            continue
        if not equals or key.strip() not in known:
            raise TidingsError(
                f"{path}, line {number}: {key.strip()!r} is not a setting. Known are {', '.join(sorted(known))}."
            )
        found[key.strip()] = value.strip().strip("\"'")
    return {key: value for key, value in found.items() if value}


def _refuse_open(path: Path) -> None:
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        raise TidingsError(
            f"{path} holds secrets and others on this machine can read it (mode {mode:o}). Run `chmod 600 {path}`."
        )
