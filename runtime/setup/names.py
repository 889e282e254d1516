"""What Tidings calls its roles and policies in a database."""

import hashlib
from typing import NamedTuple

POLICY = "tidings_reader"
_LONGEST = 63


class Roles(NamedTuple):
    """The three roles, by what each may do."""

    installer: str
    """Owns schema tidings and the hooks; used only while setting up and publishing."""
    ledger: str
    """Reads and writes Tidings' own tables; sees nothing of the user's."""
    reader: str
    """Reads approved tables of the user; sees nothing of Tidings'."""


def roles_for(database: str) -> Roles:
    """Return the roles of a database. Roles belong to the whole cluster, so the database's name is part of theirs."""
    return Roles(*(_shortened(f"tidings_{database}_", kind) for kind in ("installer", "ledger", "reader")))


def _shortened(prefix: str, kind: str) -> str:
    """Keep a name within what Postgres would cut off silently, and still different for different databases."""
    if len((prefix + kind).encode()) <= _LONGEST:
        return prefix + kind
    digest = hashlib.sha256(prefix.encode()).hexdigest()[:8]
    room = _LONGEST - len(digest) - len(kind) - 2
    return f"{prefix.encode()[:room].decode(errors='ignore')}_{digest}_{kind}"
