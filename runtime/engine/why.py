"""Why did, or didn't, somebody get a message: the recorded chain from a change to its delivery, and where it ended."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from psycopg import Connection
from psycopg.rows import dict_row

from runtime.engine.answer import Counts, Explanation, Failure
from runtime.engine.forget import erased_at
from runtime.engine.retention import has_removed, keep_times, too_old
from runtime.engine.story import MessageStory, RunStory, StepStory, instant
from runtime.engine.trial import RowKey, ask_as_it_is_now, row_key
from runtime.errors import NotFound
from runtime.ledger.database import Ledger
from runtime.ledger.project import clock_for, load_project
from runtime.ledger.queries import load_queries
from runtime.publishing.pausing import list_pauses
from runtime.publishing.versions import Version, live_versions
from runtime.source.reader import Source
from runtime.spec.nearest import did_you_mean

_QUERIES = load_queries("runtime.engine", "why.sql")
_MOST_MESSAGES = 20
"""Of one run; the ones that are asked about are always among them."""


def explain(
    ledger: Ledger,
    source: Source,
    *,
    address: str | None = None,
    workflow: str | None = None,
    row: tuple[str, str | Mapping[str, Any]] | None = None,
    message_id: int | None = None,
    run_id: int | None = None,
    limit: int = 20,
) -> Explanation:
    """Answer for a message, a run, a row (`schema.table` and its key), an address, or a workflow's newest runs.

    For an address: the runs that made a message for it, and then the newest others with the reason why they did not.
    For a row that started nothing: what was counted, and the triggers asked of the row as it is now, labelled so. At
    most `limit` runs of each kind, the newest first. Reads only. Raises NotFound for what does not exist.
    """
    with source.read() as reader:
        key = row_key(reader, *row) if row else None
        captured = key.as_captured(reader) if key else None
    asked = {
        "project_id": ledger.project_id,
        "address": address and address.strip(),
        "workflow": workflow,
        "relation": key.table.relation if key else None,
        "key": captured,
        "message_id": message_id,
        "run_id": run_id,
        "limit": limit,
        "most": _MOST_MESSAGES,
    }
    with ledger.transaction() as conn:
        project = load_project(conn, ledger.project_id)
        desk = _Desk(conn, asked, live_versions(conn, project.id))
        answer = replace(desk.answer(_question(asked, key)), held=project.held_reason or "")
    if key is None or answer.runs:
        return answer
    with source.read() as reader:
        now = clock_for(project).now()
        return replace(answer, trials=tuple(ask_as_it_is_now(reader, version, key, now) for version in desk.watching))


def _question(asked: Mapping[str, Any], key: RowKey | None) -> str:
    if key is not None:
        return f"{key.table.relation} {key}"
    kinds = {"message_id": "message", "run_id": "run", "address": "", "workflow": "workflow"}
    said = [f"{kind} {asked[name]}".strip() for name, kind in kinds.items() if asked[name] is not None]
    return " and ".join(said) or "this project"


class _Desk:
    """Looks one question up in the ledger."""

    def __init__(self, conn: Connection[Any], asked: Mapping[str, Any], live: Sequence[Version]) -> None:
        self._conn = conn
        self._asked = asked
        workflow = asked["workflow"]
        names = [version.name for version in live]
        if workflow is not None and workflow not in names and not self._rows("is_workflow"):
            raise NotFound(f"No workflow is called {workflow!r}. {did_you_mean(workflow, names)}")
        self._live = [version for version in live if workflow in (None, version.name)]
        self._pauses = {pause.workflow: pause.line() for pause in list_pauses(conn, asked["project_id"])}

    @property
    def watching(self) -> list[Version]:
        """The live versions that watch the row's table."""
        return [v for v in self._live if v.compiled.match and v.compiled.match.relation == self._asked["relation"]]

    def answer(self, question: str) -> Explanation:
        """Return what is recorded."""
        runs = self._stories(self._run_ids())
        if self._asked["message_id"] is not None or self._asked["run_id"] is not None:
            if not runs:
                raise NotFound(self._not_there(question))
            return Explanation(question, runs=runs)
        failures = tuple(Failure(**row) for row in self._rows("failures"))
        return Explanation(question, runs=runs, failures=failures, counts=self._counts(runs), notes=self._notes())

    def _run_ids(self) -> list[int]:
        asked = self._asked
        if asked["run_id"] is not None:
            return [asked["run_id"]]
        if asked["message_id"] is not None:
            return self._ids("runs_of_message")
        if asked["key"] is not None:
            return self._ids("runs_of_row")
        return [*(self._ids("runs_with_message") if asked["address"] else []), *self._ids("runs_without_message")]

    def _stories(self, ids: Sequence[int]) -> tuple[RunStory, ...]:
        """Return the runs in the order of their ids in the list."""
        steps = _by_run(self._rows("steps", ids=ids))
        messages = _by_run(self._rows("messages", ids=ids))
        tallies = _by_run(self._rows("tallies", ids=ids))
        runs = {row["id"]: row for row in self._rows("runs", ids=ids)}
        return tuple(
            RunStory(
                **_with_item_key(runs[run_id]),
                pause=self._pauses.get("") or self._pauses.get(runs[run_id]["workflow"], ""),
                steps=tuple(_step(row) for row in steps[run_id]),
                messages=tuple(_message(row) for row in messages[run_id]),
                tally={row["status"]: row["messages"] for row in tallies[run_id]},
                about=self._asked["address"] or "",
            )
            for run_id in ids
            if run_id in runs
        )

    def _counts(self, runs: Sequence[RunStory]) -> tuple[Counts, ...]:
        """Return the counters, where somebody may ask for changes that started nothing."""
        if self._asked["key"] is not None:
            versions = [] if runs else self.watching
        else:
            versions = self._live if self._asked["workflow"] is not None else []
        known = {version.id: version for version in versions if version.compiled.match}
        rows = self._rows("counts", version_ids=list(known)) if known else []
        return tuple(_count(known[row["version_id"]], row) for row in rows)

    def _notes(self) -> tuple[str, ...]:
        notes = [line for name, line in self._pauses.items() if not name or name == self._asked["workflow"]]
        if self._asked["key"] is not None and not self.watching:
            notes.append(f"No live workflow watches {self._asked['relation']}.")
        for row in self._rows("suppressions") if self._asked["address"] else []:
            topic = f" for the topic {row['topic']!r}" if row["topic"] else ""
            notes.append(f"{self._asked['address']} is on the suppression list{topic}: {row['reason']}.")
        notes += self._past()
        notes += [_skipped(row) for row in self._rows("skipped_slots")] if self._asked["key"] is None else []
        return tuple(notes)

    def _past(self) -> Iterator[str]:
        """Say what can't be known any more of the address or the row that is asked about."""
        project_id, address = self._asked["project_id"], self._asked["address"]
        if address and (at := erased_at(self._conn, project_id, address)):
            yield f"What was known of {address} was erased on request at {instant(at)}."
        if (address or self._asked["key"] is not None) and has_removed(self._conn, project_id):
            days = keep_times(self._conn, project_id).messages.days
            yield f"What is older than {days} days is not kept, and not in this answer."

    def _not_there(self, question: str) -> str:
        """Say that something is unknown, or that it was here and is not kept any more."""
        project_id = self._asked["project_id"]
        gone = [
            self._asked[f"{kind}_id"] is not None and too_old(self._conn, project_id, kind, self._asked[f"{kind}_id"])
            for kind in ("message", "run")
        ]
        if not any(gone):
            return f"There is no {question}."
        days = keep_times(self._conn, project_id).messages.days
        return f"The {question} is older than the {days} days for which such are kept, and was removed."

    def _ids(self, query: str) -> list[int]:
        return [next(iter(row.values())) for row in self._rows(query)]

    def _rows(self, query: str, **values: Any) -> list[dict[str, Any]]:
        with self._conn.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(_QUERIES[query], {**self._asked, **values}).fetchall()


def _by_run(rows: Sequence[dict[str, Any]]) -> defaultdict[int, list[dict[str, Any]]]:
    found: defaultdict[int, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        found[row.pop("run_id")].append(row)
    return found


def _with_item_key(row: dict[str, Any]) -> dict[str, Any]:
    names, item = row.pop("item_key") or [], row.pop("item") or {}
    return {**row, "item": {name: item.get(name) for name in names} or None}


def _step(row: dict[str, Any]) -> StepStory:
    row.pop("step")
    return StepStory(**row)


def _message(row: dict[str, Any]) -> MessageStory:
    row.pop("step")
    return MessageStory(step=row.pop("step_name"), key=row.pop("recipient_key"), at=row.pop("created_at"), **row)


def _count(version: Version, row: dict[str, Any]) -> Counts:
    unmet = {name: row[name] for name in ("op", "becomes", "before", "columns", "when")}
    return Counts(version.name, version.number, row["since"], row["seen"], row["matched"], unmet, row["failed"])


def _skipped(row: Mapping[str, Any]) -> str:
    if row["outcome"] == "paused":
        return f"The slot of {instant(row['at'])} of {row['workflow']} passed while the workflow was paused."
    return (
        f"The slots of {row['workflow']} after {instant(row['since'])} up to {instant(row['at'])} were missed and came "
        "too late to be made up for."
    )
