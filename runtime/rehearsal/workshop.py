"""What is at hand while a stage is set: a copy of the clone that is thrown away afterwards, and the workflow."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection

from runtime.rehearsal.conditions import Bound, parsed_views
from runtime.rehearsal.facts import Facts
from runtime.rehearsal.row import Row
from runtime.rehearsal.rows import Rows
from runtime.rehearsal.wishes import event
from runtime.rehearsal.witness import Witness
from runtime.spec.compiled import CompiledWorkflow
from runtime.spec.survey import Survey


@dataclass(frozen=True)
class Workshop:
    """One copy of the clone at work."""

    conn: Connection[Any]
    facts: Facts
    found: Survey
    """The workflow's SQL, read against the clone's own catalog."""
    compiled: CompiledWorkflow
    rows: Rows
    at: datetime
    """The instant of the change, or of the slot."""

    @property
    def event(self) -> Bound:
        """Return the row `event`."""
        return event(self.at.isoformat())

    def witness(self, *protected: Row) -> Witness:
        """Return what makes rows for queries, leaving these rows as they are."""
        views = parsed_views(self.facts.views)
        return Witness(self.conn, self.rows, self.facts.catalog, self.at.isoformat(), list(protected), views)
