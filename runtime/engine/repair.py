"""Repairing what a reconciliation found: a person's act, and safe to do twice.

What is stuck gets its work back. What was captured by key, or not at all, is matched by the row as it is now, for the
versions for which that can be decided. All is looked for anew, so nothing is repaired that came through meanwhile.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from psycopg import Connection, Error

from runtime.engine.faults import is_fault_of_rows
from runtime.engine.reconcile import Scene
from runtime.engine.reconcile_keys import KeyOnly, open_keys
from runtime.engine.reconcile_rows import Row, Search, scan, unknown_to
from runtime.engine.recover import Act, Change, recover
from runtime.engine.runs import CHUNK
from runtime.errors import NotAllowed
from runtime.ledger.arrays import int_array
from runtime.ledger.project import load_project
from runtime.ledger.queries import load_queries

_BATCHES_A_WORK = 10
_EVENTS = 10_000
"""Changes that are put back into the outbox in one transaction."""
_QUERIES = load_queries("runtime.engine", "recover.sql")


@dataclass(frozen=True)
class Repaired:
    """What a repair did."""

    runs_started: int
    """Of changes that no hook captured whole."""
    keys_settled: int
    """Changes known by key only that are made up for, or that owe nothing."""
    changes_returned: int
    """Changes whose runs were gone: they are in the outbox again."""
    runs_revived: int
    requests_revived: int


def repair(scene: Scene, *, by: str) -> Repaired:
    """Bring back what can be brought back of a window; workers then carry it out. `by` is the person whose act it is.

    Only of the scene's workflow, if it has one; then changes known by key only, and changes and requests of all
    workflows, stay as they are. Idempotent. Raises NotAllowed while the project is held.
    """
    from_rows = sum(_repair_rows(scene, search, by) for search in scene.searches.values())
    everything = scene.window.workflow is None
    from_keys, settled = _repair_keys(scene, by) if everything else (0, 0)
    returned = _return_events(scene, by) if everything else 0
    return Repaired(
        runs_started=from_rows + from_keys,
        keys_settled=settled,
        changes_returned=returned,
        runs_revived=_revive(scene, "revive_runs", CHUNK),
        requests_revived=_revive(scene, "revive_batches", _BATCHES_A_WORK) if everything else 0,
    )


@contextmanager
def _acting(scene: Scene) -> Iterator[Connection[Any]]:
    """Yield the ledger in a transaction in which nobody else repairs."""
    with scene.ledger.transaction() as conn:
        conn.execute(_QUERIES["alone"], {"project_id": scene.ledger.project_id})
        project = load_project(conn, scene.ledger.project_id)
        if project.held_reason is not None:
            raise NotAllowed(f"The project is held: {project.held_reason} A person lets it go on: `tidings release`.")
        yield conn


def _repair_rows(scene: Scene, search: Search, by: str) -> int:
    """Start the runs of rows of which the ledger knows nothing; not where rows were let pass on purpose."""
    if search.match.relation in scene.skipped:
        return 0
    act = Act(by, "row", scene.now)
    started = 0
    with scene.source.read() as reader:
        for rows in _scanned(reader, search, scene):
            with _acting(scene) as conn:
                lost = [row for row in unknown_to(conn, scene.ledger.project_id, search, rows) if row.sure]
                changes = [_change(search, row) for row in lost]
                started += recover(
                    conn, scene.ledger.project_id, search.version, search.table, changes=changes, act=act
                )
    return started


def _scanned(reader: Connection[Any], search: Search, scene: Scene) -> Iterator[list[Row]]:
    try:
        yield from scan(reader, search, scene.window)
    except ValueError:  # too much to read: the comparison says so, and nothing is found
        return
    except Error as error:
        if not is_fault_of_rows(error):
            raise


def _change(search: Search, row: Row) -> Change:
    return Change("i", search.version.from_generation or 0, row.key, row.new, row.at + search.shift)


def _repair_keys(scene: Scene, by: str) -> tuple[int, int]:
    """Start the runs of changes known by key only, and settle those that are decided; return how many of each."""
    act = Act(by, "key", scene.now)
    started = settled = 0
    with scene.ledger.connection() as looking:
        for keys in open_keys(looking, scene.ledger.project_id, scene.window):
            with _acting(scene) as conn, scene.source.read() as reader:
                decided = scene.keys.decide(conn, reader, _still_open(conn, keys))
                for version in scene.versions:
                    changes = decided.owed.get(version.id, ())
                    if changes and version.compiled.match:
                        table = scene.tables[version.compiled.match.relation]
                        started += recover(conn, scene.ledger.project_id, version, table, changes=changes, act=act)
                conn.execute(_QUERIES["handle_keys"], {"ids": int_array(decided.settled)})
                settled += len(decided.settled)
    return started, settled


def _still_open(conn: Connection[Any], keys: Sequence[KeyOnly]) -> list[KeyOnly]:
    ids = {row[0] for row in conn.execute(_QUERIES["lock_keys"], {"ids": int_array(key.id for key in keys)})}
    return [key for key in keys if key.id in ids]


def _return_events(scene: Scene, by: str) -> int:
    values = {**_window(scene), "by": by, "limit": _EVENTS}
    returned = 0
    while True:
        with _acting(scene) as conn:
            found = conn.execute(_QUERIES["return_events"], values).rowcount
        returned += found
        if found < _EVENTS:
            return returned


def _revive(scene: Scene, query: str, chunk: int) -> int:
    with _acting(scene) as conn:
        return sum(row[0] for row in conn.execute(_QUERIES[query], {**_window(scene), "chunk": chunk}))


def _window(scene: Scene) -> dict[str, Any]:
    window = scene.window
    return {
        "project_id": scene.ledger.project_id,
        "begin": window.begin,
        "end": window.end,
        "shift": window.shift,
        "workflow": window.workflow,
        "now": scene.now,
    }
