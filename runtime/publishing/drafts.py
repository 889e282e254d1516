"""Drafts: the text as its author wrote it and what it means, saved on top of the revision that was looked at."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from runtime.errors import Conflict, NotFound
from runtime.ledger.database import Ledger
from runtime.ledger.queries import load_queries
from runtime.spec.canonical import canonical
from runtime.spec.model import Workflow
from runtime.spec.nearest import did_you_mean
from runtime.spec.yaml import dump_spec, load_spec, parse_spec

_QUERIES = load_queries("runtime.publishing")


@dataclass(frozen=True)
class Draft:
    """What is being worked on under a workflow's name; it may still have problems."""

    workflow: Workflow
    workflow_id: int
    name: str
    revision: int
    """1 at first; grows with each save that changes something."""
    source: str
    """The YAML or JSON as written, comments and all."""
    author: str
    saved_at: datetime


def save_draft(
    ledger: Ledger, source_text_or_data: str | Mapping[str, Any], *, author: str, expected_revision: int | None = None
) -> Draft:
    """Save a draft under the name that it gives itself, and return it; the workflow's first save creates it.

    Raises Invalid if the shape can't be read; other problems are kept with it, for `judge` to tell. With
    `expected_revision` (0: there is none yet) raises Conflict when somebody saved meanwhile; without, it replaces what
    is there. Saving what is there already changes nothing. A question about the draft that was asked is withdrawn.
    """
    workflow, source = _read(source_text_or_data)
    with ledger.transaction() as conn:
        key = {"project_id": ledger.project_id, "name": workflow.workflow}
        claimed = conn.execute(_QUERIES["claim_workflow"], key).fetchone()
        present = find_draft(conn, ledger.project_id, workflow.workflow)
        if present is not None and (present.source, present.workflow) == (source, workflow):
            return present
        _refuse_overtaken(workflow.workflow, present, expected_revision)
        ids = {"project_id": ledger.project_id, "workflow_id": claimed and claimed[0]}
        values = {"source": source, "spec": Jsonb(canonical(workflow)), "author": author}
        conn.execute(_QUERIES["save_draft"], ids | values)
        if present is not None and present.workflow != workflow:
            conn.execute(_QUERIES["withdraw_questions"], ids | {"digest": ""})
        saved = find_draft(conn, ledger.project_id, workflow.workflow)
    assert saved is not None  # noqa: S101  # for the type checker: it was written in this transaction
    return saved


def load_draft(ledger: Ledger, name: str) -> Draft:
    """Return the draft of a workflow, or raise NotFound with the nearest name."""
    with ledger.transaction() as conn:
        draft = find_draft(conn, ledger.project_id, name)
        if draft is None:
            raise unknown_workflow(conn, ledger.project_id, name)
    return draft


def find_draft(conn: Connection[Any], project_id: int, name: str) -> Draft | None:
    """Return the draft of that name, if there is one."""
    with conn.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(_QUERIES["load_draft"], {"project_id": project_id, "name": name}).fetchone()
    return Draft(workflow=parse_spec(row.pop("spec")), **row) if row else None


def unknown_workflow(conn: Connection[Any], project_id: int, name: str) -> NotFound:
    """Return the error that says which names there are."""
    names = [row[0] for row in conn.execute(_QUERIES["workflow_names"], {"project_id": project_id})]
    fix = did_you_mean(name, names) if names else "Save one first: `tidings save FILE`."
    return NotFound(f"No workflow is called {name!r}. {fix}")


def _read(source: str | Mapping[str, Any]) -> tuple[Workflow, str]:
    if isinstance(source, str):
        return load_spec(source), source
    workflow = parse_spec(source)
    return workflow, dump_spec(workflow)


def _refuse_overtaken(name: str, present: Draft | None, expected: int | None) -> None:
    revision = present.revision if present else 0
    if expected is None or expected == revision:
        return
    by = f", saved by {present.author} at {present.saved_at:%Y-%m-%d %H:%M} UTC" if present else ""
    raise Conflict(
        f"The draft {name!r} is at revision {revision}{by}, not at {expected}. "
        "Read it again, make your change on top of it, and save with its revision."
    )
