"""Guesses from names, types and comments what a column is for: an address, a state that events show in, a secret.

Nothing is read from the tables. A guess is only ever a proposal: a person approves tables and address columns.
"""

import re
from typing import NamedTuple

from runtime.spec.schema import AddressKind, Column, Table

_TEXT = ("text", "character varying", "character", "name")
_TIME = ("timestamp", "date")
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")

_EMAIL = re.compile(r"(^|.* )(e ?mail|mail)( address| addr| id)?$")
_PHONE = re.compile(r"(^|.* )(phone|telephone|tel|mobile|cell|cellphone|sms|msisdn|whatsapp)( number| no| nr)?$")
_SLACK = re.compile(r"(^|.* )slack( id| handle| user| user id| username| channel| channel id| member id)?$")
_NOT_AN_ADDRESS = {"template", "subject", "body", "token", "hash", "type", "status", "provider", "domain", "code"}
_SAYS_EMAIL = re.compile(r"\be-?mail address(es)?\b", re.IGNORECASE)

_PEOPLE = {
    *(
        "user",
        "users",
        "customer",
        "customers",
        "person",
        "people",
        "member",
        "members",
        "contact",
        "contacts",
        "employee",
    ),
    *(
        "employees",
        "staff",
        "client",
        "clients",
        "subscriber",
        "subscribers",
        "student",
        "students",
        "patient",
        "patients",
    ),
    *("account", "accounts", "profile", "profiles", "guest", "guests", "owner", "owners", "supplier", "suppliers"),
}
_STATE = re.compile(r"(^|.* )(status|state|stage|phase|condition)$")
_POSTAL = {"city", "postcode", "zip", "postal", "zipcode", "country"}

_SECRET_WORDS = {
    *(
        "password",
        "passwd",
        "pwd",
        "passphrase",
        "secret",
        "secrets",
        "token",
        "hash",
        "salt",
        "otp",
        "totp",
        "pin",
        "cvv",
    ),
    *("cvc", "ssn", "apikey", "credential", "credentials", "privatekey", "mfa"),
}
_SECRET_PAIRS = (
    "api key",
    "private key",
    "access key",
    "card number",
    "signing key",
    "encryption key",
    "recovery code",
)
_SECRET_TABLES = {
    *(
        "password",
        "passwords",
        "secret",
        "secrets",
        "token",
        "tokens",
        "session",
        "sessions",
        "credential",
        "credentials",
    ),
    *("otp", "mfa", "migration", "migrations", "apikey", "apikeys", "flyway", "alembic", "knex", "oauth", "jwt"),
    *("bankcard", "bankcards", "creditcard", "creditcards"),
}
_SECRET_TABLE_PAIRS = (
    "api key",
    "api keys",
    "one time",
    "access key",
    "ar internal",
    "private key",
    "admin log",
    "credit card",
)
_PLATFORM = {
    "storage",
    "realtime",
    "vault",
    "graphql",
    "graphql_public",
    "extensions",
    "supabase_functions",
    "net",
    "cron",
}


class Event(NamedTuple):
    """A column in which something happening shows."""

    column: str
    labels: tuple[str, ...]
    """The values it may take, where the schema says so."""


def words(name: str) -> str:
    """Return a name's words in lower case: `E-Mail`, `eMail` and `e_mail` are all `e mail`."""
    return " ".join(_WORD.findall(name)).lower()


def address_kind(column: Column) -> AddressKind | None:
    """Return what kind of address a column seems to hold, judging by its name, type and comment."""
    if not _is_text(column):
        return None
    name = words(column.name)
    if set(name.split()) & (_NOT_AN_ADDRESS | _SECRET_WORDS):
        return None
    for pattern, kind in ((_EMAIL, AddressKind.EMAIL), (_PHONE, AddressKind.PHONE), (_SLACK, AddressKind.SLACK)):
        if pattern.match(name):
            return kind
    return AddressKind.EMAIL if _SAYS_EMAIL.search(column.comment) else None


def is_people(table: Table) -> bool:
    """Return whether a table seems to list people: it has an address, or some text and a name that people go by."""
    if any(address_kind(column) for column in table.columns):
        return True
    last = words(table.name).rpartition(" ")[2]
    return last in _PEOPLE and any(_is_text(column) for column in table.columns)


def events(table: Table) -> tuple[Event, ...]:
    """Return the columns that change when something happens: states with known values first, then points in time."""
    postal = any(set(words(column.name).split()) & _POSTAL for column in table.columns)
    states = [
        Event(c.name, labels) for c in table.columns if (labels := _labels(table, c)) or _is_state(c, postal=postal)
    ]
    times = [Event(c.name, ()) for c in table.columns if _is_moment(c)]
    return (*sorted(states, key=lambda event: not event.labels), *times)


def secret_columns(table: Table) -> tuple[str, ...]:
    """Return the columns that look like passwords, keys or tokens."""
    return tuple(column.name for column in table.columns if _is_secret(column))


def secret_table(table: Table) -> bool:
    """Return whether a table looks like nobody's business as a whole: sessions, tokens, migrations."""
    name = words(table.name)
    return bool(set(name.split()) & _SECRET_TABLES) or any(pair in name for pair in _SECRET_TABLE_PAIRS)


def platform_table(table: Table) -> bool:
    """Return whether a table belongs to the platform around the database, such as Supabase, not to the application."""
    return table.schema_name in _PLATFORM or (table.schema_name == "auth" and table.name != "users")


def _is_text(column: Column) -> bool:
    return column.base.startswith(_TEXT) and not column.base.endswith("[]") and not column.labels


def _is_secret(column: Column) -> bool:
    name = words(column.name)
    typed = (column.base or column.type).startswith((*_TEXT, "bytea", "json", "uuid")) and not column.labels
    return typed and (bool(set(name.split()) & _SECRET_WORDS) or any(pair in name for pair in _SECRET_PAIRS))


def _is_state(column: Column, *, postal: bool) -> bool:
    """Return whether a column is a state of affairs, and not one of a federation in a postal address."""
    name = words(column.name)
    return bool(_STATE.match(name)) and _is_text(column) and not (postal and name.endswith("state"))


def _is_moment(column: Column) -> bool:
    """Points in time that something sets, such as `shipped_at`; not those every row has from the beginning."""
    name = words(column.name)
    timed = column.base.startswith(_TIME)
    return timed and (name.endswith((" at", " on", " date", " time")) or column.nullable) and name not in _ROUTINE


_ROUTINE = {"created at", "updated at", "modified at", "last update", "last updated", "inserted at", "date created"}


def _labels(table: Table, column: Column) -> tuple[str, ...]:
    """Return the values of an enum, or those that a CHECK lists for the column."""
    if column.labels:
        return column.labels
    listed = re.compile(rf'^\(*"?{re.escape(column.name)}"?\)?(::text)? = ANY \(+ARRAY\[(?P<list>.*)\]')
    for check in table.checks:
        found = listed.match(check)
        if found:
            return tuple(re.findall(r"'((?:[^']|'')*)'::", found["list"]))
    return ()
