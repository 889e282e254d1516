"""The canary: a row of our own, written every minute as an application writes, that must come through all there is.

Its table has a hook like any watched table. The claim finds it in the outbox and makes work of it; a worker has it in
its hands. That a process is up says little: what came through lately says that hook, leader, broker and workers live.
It starts no run and tells nobody.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from psycopg import Connection

from runtime.capture.install import install_hook
from runtime.ledger.database import Ledger
from runtime.ledger.queries import load_queries
from runtime.ledger.work import Work, add, finish
from runtime.publishing.installer import install
from runtime.spec.compiled import Match
from runtime.spec.schema import Column, Table

_KEY = ("project_id", "id")
_TABLE = Table(
    schema_name="tidings",
    name="canary",
    columns=(
        Column(name="project_id", type="integer", base="integer"),
        Column(name="id", type="bigint", base="bigint"),
    ),
    primary_key=_KEY,
)
_QUERIES = load_queries("runtime.engine", "canary.sql")


def switch_on(installer_url: str, project_id: int) -> None:
    """Put the hook on the canary's table and let the watch write. Idempotent. Raises as `install` does."""
    install(installer_url, lambda conn: _switch_on(conn, project_id), what=_TABLE.relation)


def switch_off(installer_url: str, project_id: int) -> None:
    """Write no more canaries; the hook stays and does nothing. Idempotent. Raises as `install` does."""
    install(installer_url, lambda conn: _switch_off(conn, project_id), what=_TABLE.relation)


def write_canary(ledger: Ledger) -> bool:
    """Write a canary if it is on and time for one, in a transaction of its own; return whether it was."""
    with ledger.connection() as conn:
        project = {"project_id": ledger.project_id}
        written = conn.execute(_QUERIES["write"], project).rowcount > 0
        if written:
            conn.execute(_QUERIES["forget"], project)
    return written


def canary_hook(conn: Connection[Any], project_id: int) -> int | None:
    """Return the hook whose changes are canaries, if there is one; keep it as long as `live_generation` stays."""
    row = conn.execute(_QUERIES["hook_of"], {"project_id": project_id}).fetchone()
    return row[0] if row else None


def claim_canaries(conn: Connection[Any], project_id: int, event_ids: Sequence[int], now: datetime) -> list[int]:
    """Make work of canaries that are being claimed, before their changes are removed; return it, to be nudged for."""
    if not event_ids:
        return []
    values = {"project_id": project_id, "event_ids": list(event_ids)}
    ids = sorted(row[0] for row in conn.execute(_QUERIES["claimed"], values))
    return add(conn, project_id, "canary", [ids] if ids else [], now)


def perform_canary(ledger: Ledger, work: Work) -> list[int]:
    """Note that a worker has it, which is all there is to do. Raises LeaseLost."""
    with ledger.transaction() as conn:
        finish(conn, ledger.project_id, work)
        conn.execute(_QUERIES["performed"], {"project_id": ledger.project_id, "ids": list(work.ids)})
    return []


def _switch_on(conn: Connection[Any], project_id: int) -> None:
    own = f'n."project_id" = {project_id:d}'
    match = Match(
        relation=_TABLE.relation,
        hook_columns=_KEY,
        key=_KEY,
        ops=("insert",),
        prefilter={"insert": own},
        condition="true",
    )
    hook = install_hook(conn, project_id, _TABLE, [match])
    conn.execute(_QUERIES["switch_on"], {"project_id": project_id, "hook_id": hook.hook_id})
    conn.execute(_QUERIES["reload"], {"project_id": project_id})


def _switch_off(conn: Connection[Any], project_id: int) -> None:
    if canary_hook(conn, project_id) is not None:
        install_hook(conn, project_id, _TABLE, [])
    conn.execute(_QUERIES["switch_off"], {"project_id": project_id})
