"""Reconciliation: rows, changes, runs, messages and provider ids of a window, compared at each seam. Reads only."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from psycopg import Connection, Error
from psycopg.rows import dict_row

from runtime.clock import Clock
from runtime.engine.faults import is_fault_of_rows, said
from runtime.engine.reconcile_keys import Keys, open_keys
from runtime.engine.reconcile_rows import Search, scan, search_for, unknown_to
from runtime.engine.seams import Seam, Window, ledger_seams
from runtime.errors import NotFound
from runtime.ledger.database import Ledger
from runtime.ledger.project import clock_for, load_project
from runtime.ledger.queries import load_queries
from runtime.publishing.versions import Version, versions_of_hooks
from runtime.source.catalog import load_catalog
from runtime.source.reader import Source
from runtime.spec.nearest import did_you_mean
from runtime.spec.schema import Table

UNSEEN = (
    "What a row was before, what it was in between and what a deleted row was, no comparison can see: rows are judged "
    "as they are now."
)
_EXAMPLES = 5
_QUERIES = load_queries("runtime.engine", "reconcile.sql")
_CAPTURE = load_queries("runtime.capture")


@dataclass(frozen=True)
class Reconciliation:
    """What was compared, and what is missing."""

    begin: datetime
    end: datetime
    seams: tuple[Seam, ...]
    notes: tuple[str, ...]
    """What can't be seen, and why."""

    @property
    def missing(self) -> int:
        """Return how much is missing, of everything."""
        return sum(seam.missing for seam in self.seams)

    @property
    def recoverable(self) -> int:
        """Return how much of it a repair brings back."""
        return sum(seam.recoverable for seam in self.seams)


@dataclass(frozen=True)
class Scene:
    """What a comparison, or a repair, works with."""

    ledger: Ledger
    source: Source
    window: Window
    now: datetime
    versions: tuple[Version, ...]
    """Every one that has a hook."""
    tables: dict[str, Table]
    searches: dict[int, Search]
    """Workflow → how its rows can be looked for; only live ones."""
    notes: tuple[str, ...]
    skipped: frozenset[str]
    """Tables of which rows were let pass on purpose: they look like rows that were missed."""

    @property
    def keys(self) -> Keys:
        """Return who decides about changes known by key only."""
        return Keys(self.ledger.project_id, self.versions, self.tables, self.searches)


def set_scene(
    ledger: Ledger,
    source: Source,
    *,
    begin: datetime,
    end: datetime | None = None,
    workflow: str | None = None,
    clock: Clock | None = None,
) -> Scene:
    """Return what a comparison of a window works with; raises NotFound for an unknown workflow.

    The window begins when the ledger's memory does at the earliest, and ends now at the latest.
    """
    with ledger.transaction() as conn:
        project = load_project(conn, ledger.project_id)
        now = (clock or clock_for(project)).now()
        memory, shift, gone = conn.execute(_QUERIES["bounds"], {"project_id": project.id}).fetchall()[0]
        names = [row[0] for row in conn.execute(_QUERIES["workflows"], {"project_id": project.id})]
        if workflow is not None and workflow not in names:
            raise NotFound(f"No workflow is called {workflow!r}. {did_you_mean(workflow, names)}")
        versions = versions_of_hooks(conn, project.id)
        skipped = {row["relation"] for row in _counts(conn, project.id) if row["skipped"]}
    window = Window(max(begin, now - memory, gone or begin), min(end or now, now), shift, workflow)
    tables = {table.relation: table for table in load_catalog(source, ledger).tables}
    notes = [f"The ledger remembers nothing from before {window.begin:%Y-%m-%d %H:%M} UTC."] * (begin < window.begin)
    searches: dict[int, Search] = {}
    for version in _live(versions, workflow):
        relation = version.compiled.match.relation if version.compiled.match else ""
        search = search_for(version, versions, tables.get(relation), window)
        if isinstance(search, str):
            notes.append(f"Rows of {relation} can't be compared for {version.name}: {search}.")
        else:
            searches[version.workflow_id] = search
    return Scene(ledger, source, window, now, versions, tables, searches, (*notes, UNSEEN), frozenset(skipped))


def reconcile(scene: Scene) -> Reconciliation:
    """Compare everything, and return one line for each seam at which there is anything. Nothing is changed.

    What is on its way when it is looked at is neither there nor missing. Each statement of the ledger may take ten
    minutes, each of the source as long as the reader's may, and the server is asked for the cost of those before.
    """
    found = [*_row_seams(scene)]
    notes = [seam.why for seam in found if seam.stage == ""]
    seams = [seam for seam in found if seam.stage]
    seams += [*_key_seams(scene), *_miss_seams(scene), *ledger_seams(scene.ledger, scene.window)]
    seams = [seam for seam in seams if seam.seen or seam.missing or seam.unknown]
    return Reconciliation(scene.window.begin, scene.window.end, tuple(seams), (*notes, *scene.notes))


def _live(versions: Sequence[Version], workflow: str | None) -> list[Version]:
    return [v for v in versions if v.retired_at is None and workflow in (None, v.name)]


def _row_seams(scene: Scene) -> Iterator[Seam]:
    """Yield what is missing of each live workflow's rows; a seam without a stage only says why nobody knows."""
    for search in scene.searches.values():
        counts: Counter[str] = Counter()
        examples: list[str] = []
        relation = search.match.relation
        try:
            with scene.source.read() as reader, scene.ledger.connection() as ledger:
                for rows in scan(reader, search, scene.window):
                    lost = unknown_to(ledger, scene.ledger.project_id, search, rows)
                    counts["seen"] += len(rows)
                    counts["missing"] += sum(row.sure for row in lost)
                    counts["unknown"] += sum(not row.sure for row in lost)
                    examples += [row.key for row in lost if row.sure][: _EXAMPLES - len(examples)]
        except (Error, ValueError) as error:
            if isinstance(error, Error) and not is_fault_of_rows(error):
                raise
            why = said(error) if isinstance(error, Error) else str(error)
            name = search.version.name
            yield Seam("", name, 0, 0, 0, why=f"Rows of {relation} could not be compared for {name}: {why}.")
            continue
        skipped = relation in scene.skipped
        seam = Seam(
            stage="rows",
            subject=search.version.name,
            seen=counts["seen"],
            through=counts["seen"] - counts["missing"] - counts["unknown"],
            missing=counts["missing"],
            recoverable=0 if skipped else counts["missing"],
            unknown=counts["unknown"],
            examples=tuple(examples),
        )
        yield replace(seam, why=_why_rows(search, seam, skipped=skipped))


def _why_rows(search: Search, seam: Seam, *, skipped: bool) -> str:
    relation = search.match.relation
    parts = []
    if seam.missing:
        parts.append(
            f"Rows of {relation} that, as they are now, should have started a run (by {search.times}), and of which "
            "the ledger knows nothing."
        )
    if seam.missing and skipped:
        parts.append(
            "The application let rows pass on purpose (tidings.skip), and these may be they: none is repaired."
        )
    if seam.unknown:
        parts.append(f"{seam.unknown:,} look so too, but may not have been so when they were written.")
    return " ".join(parts)


def _key_seams(scene: Scene) -> Iterator[Seam]:
    """Yield what is known by key only, table by table."""
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    with scene.ledger.transaction() as conn:
        values = {"project_id": scene.ledger.project_id, "begin": scene.window.begin, "end": scene.window.end}
        for relation, handled in conn.execute(_QUERIES["handled_keys"], values | {"shift": scene.window.shift}):
            counts[relation]["handled"] = handled
    with scene.ledger.connection() as conn:
        for keys in open_keys(conn, scene.ledger.project_id, scene.window):
            with scene.source.read() as reader:
                decided = scene.keys.decide(conn, reader, keys)
            owed = Counter(change.key for changes in decided.owed.values() for change in changes)
            for key in keys:
                count = counts[key.relation]
                count["open"] += 1
                count["settled"] += key.id in decided.settled
                count["seen"] += key.acknowledged and key.id not in decided.settled
                count["owed"] += owed.pop(key.key, 0) if key.key else 0
    for relation, count in sorted(counts.items()):
        missing = count["open"] - count["seen"]
        why = ""
        if missing:
            undecided = count["open"] - count["settled"]
            why = (
                f"Hooks could keep only the keys. By the rows as they are now {count['settled']:,} can be decided, and "
                f"start {count['owed']:,} run(s)."
            )
            why += f" Of {undecided:,} nobody can say what they were." if undecided else ""
        seen = count["handled"] + count["open"]
        yield Seam("keys", relation, seen, count["handled"] + count["seen"], missing, count["settled"], why=why)


def _miss_seams(scene: Scene) -> Iterator[Seam]:
    """Yield what was only counted, since ever: a counter does not say when."""
    with scene.ledger.connection() as conn:
        found = _counts(conn, scene.ledger.project_id)
    for row in found:
        missed, new = row["missed"], row["new_missed"]
        if missed:
            why = (
                "Not even the keys of these changes are known; they were counted since the hook was made. Compare the "
                "rows of that time, then say that you have seen it: `tidings acknowledge`."
            )
            yield Seam("missed", row["relation"], missed, missed - new, new, why=why * bool(new))


def _counts(conn: Connection[Any], project_id: int) -> list[dict[str, Any]]:
    """Return what each hook missed, and how much of that nobody has acknowledged."""
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(_CAPTURE["counts"], {"project_id": project_id}).fetchall()
