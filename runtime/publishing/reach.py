"""Who can be reached at all: contacts, the allow-list, and the mode. A person's decisions, recorded; nothing asks here.

Only commands at an interactive terminal, and the console, may call what changes something: no tool of a model does.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from psycopg import Connection
from psycopg.rows import class_row

from runtime.errors import NotAllowed, NotFound, TidingsError
from runtime.ledger.database import Ledger
from runtime.ledger.project import load_project
from runtime.ledger.queries import load_queries
from runtime.spec.nearest import did_you_mean
from runtime.spec.schema import AddressKind

_QUERIES = load_queries("runtime.publishing")
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_EMAIL = re.compile(r"[^\s@<>,;\"]{1,64}@[^\s@<>,;\"]{1,255}")
_DOMAIN = re.compile(r"@[^\s@<>,;\"]{1,255}")
_SLACK = re.compile(r"[#@][^\s,]{1,80}|[CGDUW][A-Z0-9]{6,}")
_PHONE = re.compile(r"\+[0-9]{6,15}")
_FORMS = {AddressKind.EMAIL: _EMAIL, AddressKind.SLACK: _SLACK, AddressKind.PHONE: _PHONE}
_LOOKS = {
    AddressKind.EMAIL: "name@example.org",
    AddressKind.SLACK: "#channel, @handle or an id such as C0123456789",
    AddressKind.PHONE: "+15551234567",
}


@dataclass(frozen=True)
class Contact:
    """A named fixed address: what `contact('name')` in a spec stands for."""

    name: str
    kind: str
    address: str
    registered_at: datetime
    used_by: tuple[str, ...]
    """Workflows whose draft or live version names it. A live one keeps the address it was published with."""


def list_contacts(ledger: Ledger) -> tuple[Contact, ...]:
    """Return the registered contacts, by name."""
    with ledger.transaction() as conn, conn.cursor(row_factory=class_row(Contact)) as cursor:
        return tuple(cursor.execute(_QUERIES["contacts"], {"project_id": ledger.project_id}).fetchall())


def kind_of(address: str) -> AddressKind | None:
    """Return what an address looks like, None for nothing that is known."""
    return next((kind for kind, form in _FORMS.items() if form.fullmatch(address)), None)


def add_contact(ledger: Ledger, name: str, *, kind: AddressKind, address: str) -> None:
    """Register a contact, or give a registered one another address."""
    if not _NAME.fullmatch(name):
        raise TidingsError(f"{name!r} is no name for a contact. Use lower-case letters, digits, _ and -, like 'ops'.")
    if not _FORMS[kind].fullmatch(address):
        raise TidingsError(f"{address!r} is no {kind.value} address. It looks like {_LOOKS[kind]}.")
    _run(ledger, "add_contact", name=name, kind=kind.value, address=address)


def remove_contact(ledger: Ledger, name: str) -> None:
    """Forget a contact, or raise NotFound. Live versions keep the address until they are published anew."""
    if not _run(ledger, "remove_contact", name=name):
        names = [contact.name for contact in list_contacts(ledger)]
        raise NotFound(f"No contact is called {name!r}. {did_you_mean(name, names)}")


def list_allowed(ledger: Ledger) -> tuple[str, ...]:
    """Return the addresses, and the domains as '@example.org', that are reached outside production mode too."""
    with ledger.transaction() as conn:
        found = conn.execute(_QUERIES["allowed"], {"project_id": ledger.project_id}).fetchall()
    return tuple(row[0] for row in found)


def allow(ledger: Ledger, address: str) -> str:
    """Let messages leave the machine for an address or a whole domain outside production mode; return its one form."""
    wanted = address.strip().lower()
    if not (_DOMAIN.fullmatch(wanted) or kind_of(address.strip())):
        raise TidingsError(f"{address!r} is no address. Write one such as name@example.org, @example.org or #channel.")
    _run(ledger, "allow", address=wanted)
    return wanted


def disallow(ledger: Ledger, address: str) -> None:
    """Take an address off the allow-list, or raise NotFound."""
    if not _run(ledger, "disallow", address=address.strip().lower()):
        raise NotFound(f"{address!r} is not on the allow-list. {did_you_mean(address, list_allowed(ledger))}")


def set_mode(ledger: Ledger, mode: Literal["inbox", "production"]) -> None:
    """Set where messages go: to people (production) or to the local inbox. Refused while the clock is moved."""
    with ledger.transaction() as conn:
        project = load_project(conn, ledger.project_id)
        if mode == "production" and project.clock_shift:
            raise NotAllowed(
                f"The project's clock is {project.clock_shift} ahead; a project that sends for real goes by the real "
                "one. Set up another project for production."
            )
        conn.execute(_QUERIES["set_mode"], {"project_id": ledger.project_id, "mode": mode})


def _run(ledger: Ledger, query: str, **values: object) -> bool:
    """Run a statement and return whether it touched a row."""
    with ledger.transaction() as conn:
        return _touched(conn, query, {"project_id": ledger.project_id, **values})


def _touched(conn: Connection[Any], query: str, values: dict[str, object]) -> bool:
    return conn.execute(_QUERIES[query], values).rowcount > 0
