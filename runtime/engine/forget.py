"""Erasure: everything that the ledger holds about an address is found, shown, and blanked; the user's tables are not.

The bare facts stay without the person: that a run sent a message at some time. What is under way is left as it is, for
a frozen request must be repeated word for word: it is counted, and goes when the same is asked again afterwards.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Any
from urllib.parse import quote

from psycopg import Connection, sql
from psycopg.rows import class_row, dict_row

from runtime.delivery.address import BadAddress, normal_address
from runtime.delivery.headers import digest
from runtime.errors import NotFound
from runtime.ledger.database import Ledger
from runtime.ledger.queries import load_queries

_PLACES = {
    "event": "captured changes",
    "run": "what queries gave to runs",
    "step_result": "what steps recorded",
    "dead_letter": "dead letters",
    "shared_words": "words shared by many messages",
    "delivery_batch": "requests to providers",
    "inbox": "messages in the local inbox",
    "delivery_event": "reports of providers",
    "message": "messages",
}
"""Table → what it holds. The messages come last: by them their requests are known."""
_PAGE = 2_000
"""Rows that one statement looks at; a request may be long."""
_AT_ONCE = 200
_QUERIES = load_queries("runtime.engine", "forget.sql")


@dataclass(frozen=True)
class AtProvider:
    """A message that a provider knows by an id of its own, under which it can be deleted there."""

    provider: str
    provider_id: str
    at: datetime


@dataclass(frozen=True)
class Held:
    """Everything that the ledger holds about an address."""

    address: str
    """In its one spelling, lower case."""
    found: Mapping[str, Sequence[int]]
    """Table → ids of rows that can be erased now."""
    under_way: Mapping[str, int]
    """Table → rows that something under way needs."""
    at_providers: tuple[AtProvider, ...]
    suppressions: tuple[tuple[str, str], ...]
    """Topic and reason of each entry: kept, unless their removal is asked for."""
    written: tuple[str, ...]
    """Where a person wrote the address down: configuration, which stays."""

    @property
    def nothing(self) -> bool:
        """Return whether nothing of it can or could be erased."""
        return not any(self.found.values()) and not any(self.under_way.values())

    def lines(self) -> Iterator[str]:
        """Say what was found, a line each."""
        for table, what in _PLACES.items():
            if self.found.get(table):
                yield f"{len(self.found[table]):,} {what}"


def find_address(ledger: Ledger, written: str, *, progress: Callable[[str], None] = lambda _: None) -> Held:
    """Return what the ledger holds about an address: its own, and what names it anywhere. Changes nothing.

    Reads every table page by page, which takes its time in a large ledger; `progress` is told of each. Raises
    BadAddress.
    """
    address = _spelled(written)
    values: dict[str, Any] = {"project_id": ledger.project_id, "address": address, **_forms(address)}
    with ledger.connection() as conn:
        values |= _rows(conn, "own", values)[0]
    found, kept = dict[str, Sequence[int]](), dict[str, int]()
    for table, what in _PLACES.items():
        progress(f"Looking through {what}")
        found[table], kept[table] = _scan(ledger, table, values)
    with ledger.connection() as conn:
        kept["outbox"] = _rows(conn, "waiting", values)[0]["?column?"]
        with conn.cursor(row_factory=class_row(AtProvider)) as cursor:
            at_providers = tuple(cursor.execute(_QUERIES["at_providers"], values).fetchall())
        suppressions = tuple((row["topic"], row["reason"]) for row in _rows(conn, "suppressions", values))
        places = tuple(row["place"] for row in _rows(conn, "written_by_people", values))
    return Held(address, found, kept, at_providers, suppressions, places)


def erase(
    ledger: Ledger,
    held: Held,
    *,
    by: str,
    now: datetime,
    also_suppression: bool = False,
    progress: Callable[[str], None] = lambda _: None,
) -> Mapping[str, int]:
    """Erase what was found, in small transactions, and record that it happened; return how many rows, by table.

    May be interrupted and asked again. The record holds a fingerprint under the project's secret, not the address.
    """
    with ledger.connection() as conn:
        mark = fingerprint(conn, ledger.project_id, held.address)
    values = {"project_id": ledger.project_id, "address": held.address, **_forms(held.address)}
    values["alias"] = f"forgotten:{mark[:16]}"
    done: dict[str, int] = {}
    for table, what in _PLACES.items():
        progress(f"Erasing {what}")
        ids = held.found.get(table, ())
        for start in range(0, len(ids), _AT_ONCE):
            with ledger.transaction() as conn:
                chunk = {"ids": list(ids[start : start + _AT_ONCE])}
                done[table] = done.get(table, 0) + conn.execute(_QUERIES[f"erase_{table}"], values | chunk).rowcount
    with ledger.transaction() as conn:
        conn.execute(_QUERIES["erase_keys"], values)
        if also_suppression:
            done["suppression"] = conn.execute(_QUERIES["lift"], values).rowcount
        counts = {"erased": done, "under_way": {table: count for table, count in held.under_way.items() if count}}
        record = {"fingerprint": mark, "by": by, "now": now, "counts": json.dumps(counts)}
        conn.execute(_QUERIES["record"], values | record)
    return done


def erased_at(conn: Connection[Any], project_id: int, written: str) -> datetime | None:
    """Return when the data of an address was erased last; None if it never was, or if it is no address."""
    try:
        mark = fingerprint(conn, project_id, _spelled(written))
    except BadAddress:
        return None
    at: datetime | None = _rows(conn, "erased", {"project_id": project_id, "fingerprint": mark})[0]["at"]
    return at


def fingerprint(conn: Connection[Any], project_id: int, address: str) -> str:
    """Return what stands for an address in the record of erasures; without the project's secret nobody can guess it."""
    row = conn.execute(_QUERIES["secret"], {"project_id": project_id}).fetchone()
    if row is None:
        raise NotFound(f"The ledger has no project {project_id}. Run `tidings init` again; it repairs what is missing.")
    return digest(bytes(row[0]), "erasure", address)


def _spelled(written: str) -> str:
    kinds = ("email",) if "@" in written.strip()[1:] else ("slack",)
    return next(normal_address(kind, written).lower() for kind in kinds)


def _forms(address: str) -> dict[str, Any]:
    """Return how an address may stand in a text, and a pattern that doesn't take it for a part of a longer one."""
    forms = list(dict.fromkeys(form.lower() for form in (address, escape(address), quote(address, safe=""))))
    anyone = "|".join(re.sub(r"([^a-z0-9])", r"\\\1", form) for form in forms)
    return {"forms": forms, "pattern": rf"(^|[^a-z0-9._+-]|%[0-9a-f]{{2}})({anyone})($|[^a-z0-9.-]|[.-]($|[^a-z0-9]))"}


def _scan(ledger: Ledger, table: str, values: Mapping[str, Any]) -> tuple[Sequence[int], int]:
    """Return the ids of a table's rows that can be erased now, and how many can't."""
    *_, column, own, said, ready = _QUERIES[table].splitlines()
    parts = {
        "table": sql.SQL(table),
        "id": sql.SQL(column),
        **{name: sql.SQL(text).format() for name, text in (("own", own), ("said", said), ("ready", ready))},
    }
    query = sql.SQL(_QUERIES["scan"]).format(**parts)
    ids: list[int] = []
    kept = after = 0
    while True:
        with ledger.connection() as conn, conn.cursor(row_factory=dict_row) as cursor:
            page = cursor.execute(query, {**values, "after": after, "limit": _PAGE}).fetchall()[0]
        ids += page["ids"]
        kept += page["kept"]
        if page["seen"] < _PAGE:
            return ids, kept
        after = page["last"]


def _rows(conn: Connection[Any], query: str, values: Mapping[str, Any]) -> list[dict[str, Any]]:
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(_QUERIES[query], values).fetchall()
