"""Connection URLs: adding settings to one, changing who logs in, and showing one without its password."""

import re
from urllib.parse import quote, urlencode

from psycopg import conninfo
from psycopg.errors import ProgrammingError

from runtime.errors import TidingsError

_UNREADABLE = (
    "The database URL can't be read. It looks like postgresql://role:password@host:5432/database; "
    "characters such as @ or / in a password are written as %40 and %2F."
)
_PORTS = re.compile(r"[\d,]*")
_BECOMES = re.compile(r"-c\s*role=\S+")
_SERVER_NOTICES = {
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "10000",
}
"""Within about ten seconds the server ends a session whose machine has vanished, and frees what it holds: rows that
were being claimed, and the snapshot that would keep vacuum from the user's tables."""
_CLIENT_NOTICES = {
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
}
"""And a client whose server has vanished does not wait for it for hours."""


def with_options(url: str, *, application_name: str = "", **settings: str) -> str:
    """Return connection parameters for the URL with session settings added to those it has, which keep precedence.

    Both ends notice within seconds when the other has vanished, unless the URL or the settings say otherwise.
    """
    values = _CLIENT_NOTICES | parse_url(url)
    added = " ".join(
        f"-c {name}={value.replace(' ', chr(92) + ' ')}" for name, value in (_SERVER_NOTICES | settings).items()
    )
    options = " ".join(part for part in (added, values.get("options", "")) if part)
    values |= {"options": options} if options else {}
    values |= {"application_name": application_name} if application_name else {}
    return conninfo.make_conninfo("", **values)


def with_login(url: str, role: str, password: str) -> str:
    """Return the URL of the same database for another login, without a role that the old one became."""
    values = parse_url(url) | {"user": role, "password": password}
    if "options" in values:
        values["options"] = _BECOMES.sub("", values["options"]).strip()
    return _to_url({key: value for key, value in values.items() if value})


def with_role(url: str, role: str) -> str:
    """Return the URL for the same login that becomes another role as soon as it is connected."""
    values = parse_url(url)
    return _to_url(values | {"options": f"{values.get('options', '')} -c role={role}".strip()})


def without_password(url: str) -> str:
    """Return role@host:port/database, fit for a terminal or a log."""
    values = parse_url(url)
    host = values.get("host") or values.get("hostaddr") or "localhost"
    user = f"{values['user']}@" if values.get("user") else ""
    return f"{user}{host}:{values.get('port') or 5432}/{values.get('dbname') or ''}"


def parse_url(url: str) -> dict[str, str]:
    """Return a URL's connection parameters, or say how a URL looks, without repeating it: it may hold a password."""
    try:
        values = {key: str(value) for key, value in conninfo.conninfo_to_dict(url).items() if value is not None}
    except ProgrammingError as error:
        raise TidingsError(_UNREADABLE) from error
    if not _PORTS.fullmatch(values.get("port", "")):  # a password with a / in it is read as a port
        raise TidingsError(_UNREADABLE)
    return values


def _to_url(values: dict[str, str]) -> str:
    """Write parameters as a URL; hosts that don't fit into one (sockets, several) become parameters."""
    rest = dict(values)
    login = quote(rest.pop("user", ""), safe="")
    if "password" in rest:
        login += ":" + quote(rest.pop("password"), safe="")
    database = quote(rest.pop("dbname", ""), safe="")
    place = ""
    if "host" in rest and not set(rest["host"]) & set("/,:@"):
        port = rest.pop("port", "")
        place = rest.pop("host") + (f":{port}" if port else "")
    query = urlencode(rest, quote_via=quote)
    return f"postgresql://{login}@{place}/{database}" + (f"?{query}" if query else "")
