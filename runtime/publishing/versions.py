"""Versions: what was published, immutable, each with the generations of the hook whose events are its own.

And workflows at a glance: what each is for, what is live of it, and whether its draft has moved on.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection
from psycopg.rows import dict_row

from runtime.errors import NotFound
from runtime.ledger.database import Ledger
from runtime.ledger.queries import load_queries
from runtime.publishing.drafts import Draft, find_draft, unknown_workflow
from runtime.publishing.pausing import Pause, list_pauses
from runtime.spec.compiled import CompiledWorkflow
from runtime.spec.words import in_words
from runtime.spec.yaml import parse_spec

_QUERIES = load_queries("runtime.publishing")


@dataclass(frozen=True)
class Version:
    """A WorkflowVersion."""

    id: int
    workflow_id: int
    name: str
    number: int
    """1, 2, 3 … within the workflow."""
    digest: str
    """What was tested and approved."""
    compiled: CompiledWorkflow
    hook_id: int | None
    """The hook of a change trigger's table; None for schedules."""
    from_generation: int | None
    """Events of its hook with from_generation <= generation < until_generation are for this version."""
    until_generation: int | None
    published_at: datetime
    """On Tidings' clock, as retired_at is."""
    retired_at: datetime | None
    source: str = ""
    """The text as its author wrote it."""
    fingerprint: str = ""
    """Of what it reads, as it was at publish (see `runtime.publishing.verdict`)."""


@dataclass(frozen=True)
class WorkflowLine:
    """A workflow in a list."""

    name: str
    state: str
    """live, paused or draft; a draft is not live, whether it was once or not."""
    number: int | None
    """The live version's number."""
    published_at: datetime | None
    about: str
    """The draft's own sentence."""
    words: str
    """The draft, in our words."""
    revision: int
    """The draft's."""
    saved_at: datetime
    changed: bool
    """The draft is not what is live."""
    pause: Pause | None = None
    """Why it rests, whether it is live or not; that of everything counts for each."""


@dataclass(frozen=True)
class StoredWorkflow:
    """A workflow's draft, and what is live of it."""

    draft: Draft
    live: Version | None


def load_version(ledger: Ledger, version_id: int) -> Version:
    """Return a version, or raise NotFound."""
    with ledger.transaction() as conn:
        found = _versions(conn, ledger.project_id, version_id=version_id)
    if not found:
        raise NotFound(f"There is no version {version_id}. `tidings workflows` lists what there is.")
    return found[0]


def live_versions(conn: Connection[Any], project_id: int) -> tuple[Version, ...]:
    """Return the version of each workflow that is live, in the order of their ids."""
    return _versions(conn, project_id, live=True)


def live_version(conn: Connection[Any], project_id: int, name: str) -> Version | None:
    """Return the live version of a workflow, if it has one."""
    return next(iter(_versions(conn, project_id, live=True, name=name)), None)


def versions_of_hooks(conn: Connection[Any], project_id: int) -> tuple[Version, ...]:
    """Return every version whose events may still be in the outbox, retired ones among them, in the order of their ids.

    A transaction that was open while a hook was replaced may commit an event of an old generation at any later time, so
    no version with a hook is left out. Keep the answer as long as the project's `live_generation` stays.
    """
    return _versions(conn, project_id, hooked=True)


def list_workflows(ledger: Ledger) -> tuple[WorkflowLine, ...]:
    """Return every workflow, by name."""
    with ledger.transaction() as conn, conn.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(_QUERIES["list_workflows"], {"project_id": ledger.project_id}).fetchall()
        pauses = {pause.workflow: pause for pause in list_pauses(conn, ledger.project_id)}
    return tuple(_line(row, pauses.get("") or pauses.get(row["name"])) for row in rows)


def load_workflow(ledger: Ledger, name: str) -> StoredWorkflow:
    """Return a workflow's draft and its live version, or raise NotFound with the nearest name."""
    with ledger.transaction() as conn:
        draft = find_draft(conn, ledger.project_id, name)
        if draft is None:
            raise unknown_workflow(conn, ledger.project_id, name)
        return StoredWorkflow(draft, live_version(conn, ledger.project_id, name))


def _versions(
    conn: Connection[Any],
    project_id: int,
    *,
    version_id: int | None = None,
    name: str | None = None,
    live: bool = False,
    hooked: bool = False,
) -> tuple[Version, ...]:
    wanted = {"version_id": version_id, "name": name, "live": live, "hooked": hooked}
    with conn.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(_QUERIES["versions"], {"project_id": project_id, **wanted}).fetchall()
    return tuple(Version(compiled=CompiledWorkflow.model_validate(row.pop("compiled")), **row) for row in rows)


def _line(row: Mapping[str, Any], pause: Pause | None) -> WorkflowLine:
    workflow = parse_spec(row["draft_spec"])
    is_live = row["live_spec"] is not None
    return WorkflowLine(
        name=row["name"],
        state=("paused" if pause else "live") if is_live else "draft",
        number=row["number"],
        published_at=row["published_at"],
        about=workflow.about,
        words=in_words(workflow),
        revision=row["revision"],
        saved_at=row["saved_at"],
        changed=is_live and row["draft_spec"] != row["live_spec"],
        pause=pause,
    )
