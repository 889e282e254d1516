"""Publishing: the gate once more for exactly one digest, then hook and version in one transaction of the installer."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection
from psycopg.types.json import Jsonb

from runtime.clock import Clock
from runtime.errors import Conflict, Invalid, NotAllowed
from runtime.ledger.database import Ledger
from runtime.ledger.project import clock_for, load_project
from runtime.ledger.queries import load_queries
from runtime.publishing.drafts import Draft, load_draft, unknown_workflow
from runtime.publishing.gate import answer, unapproved, unmet
from runtime.publishing.hooks import add_to_hook, put_triggers_on, remove_from_hook
from runtime.publishing.installer import install
from runtime.publishing.verdict import Verdict, judge
from runtime.publishing.versions import Version, live_version, live_versions
from runtime.source.reader import Source
from runtime.spec.canonical import canonical
from runtime.spec.compiled import CompiledWorkflow

_QUERIES = load_queries("runtime.publishing")
_SHOWN = 12


@dataclass(frozen=True)
class Published:
    """The version that is live now."""

    version_id: int
    number: int
    digest: str


def publish(
    ledger: Ledger, source: Source, installer_url: str, name: str, *, digest: str, clock: Clock | None = None
) -> Published:
    """Make the draft live, if it is still what this digest names and the gate is open for it.

    Everything is checked anew: problems (Invalid), whether the digest is still that of the draft on the tables as they
    are (Conflict), its test and its approval, and whether the project is held (NotAllowed). Then hook, version and the
    approval's redemption are one transaction. Publishing what is live already answers the same and changes nothing.
    Triggers that the table lacks are put on it before: no write waits longer than 100 ms for that. Raises Temporary
    when the watched table stays locked, and names who holds it.
    """
    draft = load_draft(ledger, name)
    with ledger.transaction() as conn:
        live = live_version(conn, ledger.project_id, name)
    if live is not None and live.digest == digest:
        return Published(live.id, live.number, live.digest)
    verdict = judge(source, ledger, draft.workflow)
    compiled = _passed(ledger, draft, verdict, digest)
    what = compiled.match.relation if compiled.match else "the project"
    if compiled.match:
        put_triggers_on(installer_url, ledger.project_id, compiled.match)
    order = _Order(draft, verdict, compiled, _now(ledger, clock))
    return install(installer_url, lambda conn: _install(conn, ledger.project_id, order), what=what)


def unpublish(ledger: Ledger, installer_url: str, name: str, *, clock: Clock | None = None) -> None:
    """End a workflow's live version: no later change or slot starts a run of it. Runs in flight finish.

    Changes captured until then still start theirs. What is not live stays as it is. No table is locked. Raises NotFound
    for an unknown name.
    """
    with ledger.transaction() as conn:
        live = live_version(conn, ledger.project_id, name)
        key = {"project_id": ledger.project_id, "name": name}
        if live is None and conn.execute(_QUERIES["lock_workflow"], key).fetchone() is None:
            raise unknown_workflow(conn, ledger.project_id, name)
    if live is None:
        return
    what = live.compiled.match.relation if live.compiled.match else "the project"
    now = _now(ledger, clock)
    install(installer_url, lambda conn: _uninstall(conn, ledger.project_id, name, now), what=what)


def _now(ledger: Ledger, clock: Clock | None) -> datetime:
    if clock is not None:
        return clock.now()
    with ledger.transaction() as conn:
        return clock_for(load_project(conn, ledger.project_id)).now()


def _passed(ledger: Ledger, draft: Draft, verdict: Verdict, digest: str) -> CompiledWorkflow:
    """Return what may be installed, or raise for whatever says no."""
    if verdict.problems or verdict.compiled is None:
        raise Invalid(list(verdict.problems), subject=f"draft {draft.name!r}")
    if verdict.digest != digest:
        raise Conflict(
            f"{draft.name!r} is no longer what was to be published: {digest[:_SHOWN]!r} was, "
            f"{verdict.digest[:_SHOWN]!r} is what the draft, the tables it reads and the project's mode amount to now. "
            "Prepare the publish again; it says what is missing."
        )
    with ledger.transaction() as conn:
        missing = unmet(conn, ledger.project_id, draft.name, verdict)
        missing += [unapproved(draft.name, answer(conn, ledger.project_id, draft.workflow_id, digest))]
    if any(missing):
        raise NotAllowed(" ".join(part for part in missing if part))
    return verdict.compiled


@dataclass(frozen=True)
class _Order:
    """What passed the gate, and when."""

    draft: Draft
    verdict: Verdict
    compiled: CompiledWorkflow
    now: datetime


def _install(conn: Connection[Any], project_id: int, order: _Order) -> Published:
    """Do it, in the installer's transaction; whoever came second finds it done."""
    draft, verdict, match = order.draft, order.verdict, order.compiled.match
    _lock(conn, project_id, verdict.mode)
    live = live_versions(conn, project_id)
    replaced = next((version for version in live if version.workflow_id == draft.workflow_id), None)
    if replaced is not None and replaced.digest == verdict.digest:
        return Published(replaced.id, replaced.number, replaced.digest)
    approval_id = _redeem(conn, project_id, draft, verdict.digest)
    others = [version for version in live if version is not replaced]
    installed = add_to_hook(conn, project_id, match, others) if match else None
    if replaced is not None:
        stays = installed is not None and replaced.hook_id == installed.hook_id
        until = installed.generation if installed and stays else remove_from_hook(conn, project_id, replaced, others)
        _retire(conn, project_id, replaced, until, order.now)
    version = {
        "project_id": project_id,
        "workflow_id": draft.workflow_id,
        "digest": verdict.digest,
        "spec": Jsonb(canonical(draft.workflow)),
        "source": draft.source,
        "compiled": Jsonb(order.compiled.model_dump(mode="json")),
        "fingerprint": verdict.fingerprint,
        "hook_id": installed and installed.hook_id,
        "generation": installed and installed.generation,
        "approval_id": approval_id,
        "now": order.now,
    }
    version_id, number = conn.execute(_QUERIES["insert_version"], version).fetchall()[0]
    _go_live(conn, project_id, draft.workflow_id, version_id)
    return Published(version_id, number, verdict.digest)


def _uninstall(conn: Connection[Any], project_id: int, name: str, now: datetime) -> None:
    conn.execute(_QUERIES["lock_project"], {"project_id": project_id})
    live = live_versions(conn, project_id)
    version = next((version for version in live if version.name == name), None)
    if version is None:
        return
    others = [other for other in live if other is not version]
    _retire(conn, project_id, version, remove_from_hook(conn, project_id, version, others), now)
    _go_live(conn, project_id, version.workflow_id, None)


def _lock(conn: Connection[Any], project_id: int, mode: str) -> None:
    """Keep other publishers out, and look once more at what may have changed since the gate."""
    row = conn.execute(_QUERIES["lock_project"], {"project_id": project_id}).fetchone()
    held_reason, mode_now = row or (None, mode)
    if held_reason is not None:
        raise NotAllowed(f"The project is held: {held_reason} A person lets it go on: `tidings release`.")
    if mode_now != mode:
        raise Conflict(f"The project has just been set to mode {mode_now!r}. Prepare the publish again.")


def _redeem(conn: Connection[Any], project_id: int, draft: Draft, digest: str) -> int:
    values = {"project_id": project_id, "workflow_id": draft.workflow_id, "digest": digest}
    row = conn.execute(_QUERIES["redeem"], values).fetchone()
    if row is None:
        raise NotAllowed(f"The approval of {draft.name!r} was used or taken back meanwhile. Prepare the publish again.")
    return int(row[0])


def _retire(conn: Connection[Any], project_id: int, version: Version, until: int | None, now: datetime) -> None:
    values = {"project_id": project_id, "version_id": version.id, "generation": until, "now": now}
    conn.execute(_QUERIES["retire_version"], values)


def _go_live(conn: Connection[Any], project_id: int, workflow_id: int, version_id: int | None) -> None:
    values = {"project_id": project_id, "workflow_id": workflow_id, "version_id": version_id}
    conn.execute(_QUERIES["set_live"], values)
    conn.execute(_QUERIES["next_generation"], values)
