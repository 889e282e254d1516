"""What tests found, by digest: the publish gate asks for the latest one."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from runtime.ledger.database import Ledger
from runtime.ledger.queries import load_queries

_QUERIES = load_queries("runtime.publishing")


@dataclass(frozen=True)
class StoredReport:
    """A rehearsal's report on one digest."""

    id: int
    digest: str
    passed: bool
    report: dict[str, Any]
    at: datetime


def record_report(ledger: Ledger, digest: str, *, passed: bool, report: Mapping[str, Any]) -> int:
    """Keep a report and return its id; from now on it is what counts for the digest."""
    values = {"project_id": ledger.project_id, "digest": digest, "passed": passed, "report": Jsonb(dict(report))}
    with ledger.transaction() as conn:
        row = conn.execute(_QUERIES["record_report"], values).fetchone()
    return int(row[0]) if row else 0


def load_report(ledger: Ledger, digest: str) -> StoredReport | None:
    """Return the latest report on a digest, if there is one."""
    with ledger.transaction() as conn:
        return find_report(conn, ledger.project_id, digest)


def find_report(conn: Connection[Any], project_id: int, digest: str) -> StoredReport | None:
    """Return the latest report on a digest, in the caller's transaction."""
    with conn.cursor(row_factory=class_row(StoredReport)) as cursor:
        return cursor.execute(_QUERIES["latest_report"], {"project_id": project_id, "digest": digest}).fetchone()
