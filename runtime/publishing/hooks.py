"""Hooks follow what is live: a table's hook speaks for all live versions that watch it, and for no others."""

from collections.abc import Iterable
from functools import partial
from typing import Any

from psycopg import Connection

from runtime.capture.install import Installed, install_hook
from runtime.capture.triggers import add_triggers, lacking
from runtime.errors import Conflict
from runtime.ledger.queries import load_queries
from runtime.publishing.installer import install
from runtime.publishing.versions import Version
from runtime.source.catalog import read_catalog
from runtime.spec.compiled import Match
from runtime.spec.schema import Table

_QUERIES = load_queries("runtime.publishing")


def put_triggers_on(installer_url: str, project_id: int, match: Match) -> None:
    """Give the hook the triggers that it lacks, one table after the other, each committed before the next.

    They do nothing until the version is published, and nothing is undone if it never is. Where a trigger is missing its
    table is locked for an instant; else nothing is. Raises Temporary when a table stays locked.
    """
    ops = tuple(match.prefilter)

    def look(conn: Connection[Any]) -> list[tuple[Table, str]]:
        table = read_catalog(conn, everything=True).table(match.relation)
        return [(table, place) for place in lacking(conn, project_id, table, ops)] if table else []

    def put_on(conn: Connection[Any], table: Table, place: str) -> None:
        conn.execute("SET LOCAL synchronous_commit = off")  # the table is locked until the commit is through
        add_triggers(conn, project_id, table, ops, place=place)

    for table, place in install(installer_url, look, what=match.relation):
        install(installer_url, partial(put_on, table=table, place=place), what=place)


def add_to_hook(conn: Connection[Any], project_id: int, match: Match, others: Iterable[Version]) -> Installed:
    """Install the hook of a version that is being published, beside those of the other live versions on its table.

    In the caller's transaction, as the installer. Raises Conflict when the table is no longer what it was judged as.
    """
    catalog = read_catalog(conn, everything=True)
    table = catalog.table(match.relation)
    if table is None or _gone(match, table) or table.primary_key != match.key:
        raise Conflict(f"{match.relation} has just changed. Validate and test the workflow again.")
    return install_hook(conn, project_id, table, [*_matches(others, table), match])


def remove_from_hook(conn: Connection[Any], project_id: int, version: Version, others: Iterable[Version]) -> int | None:
    """Install a version's hook without it, and return the first generation that is no longer the version's.

    In the caller's transaction, as the installer. None for a version without a hook.
    """
    match = version.compiled.match
    if match is None or version.hook_id is None:
        return None
    table = read_catalog(conn, everything=True).table(match.relation)
    if table is not None:
        return install_hook(conn, project_id, table, _matches(others, table), locks=False).generation
    # The table was dropped, and its triggers with it.
    key = {"project_id": project_id, "hook_id": version.hook_id}
    row = conn.execute(_QUERIES["hook_generation"], key).fetchone()
    return int(row[0] if row else version.from_generation or 0) + 1


def _matches(versions: Iterable[Version], table: Table) -> list[Match]:
    matches = [version.compiled.match for version in versions]
    return [_as_far_as_it_goes(m, table) for m in matches if m is not None and m.relation == table.relation]


def _as_far_as_it_goes(match: Match, table: Table) -> Match:
    """Leave out columns that are gone, so that one version that drifted does not spoil the hook for the others.

    Its events are still captured: matching them says for that version alone what is wrong.
    """
    if not _gone(match, table) and set(match.key) <= {column.name for column in table.columns}:
        return match
    kept = tuple(name for name in match.hook_columns if table.column(name))
    return match.model_copy(
        update={
            "hook_columns": tuple(dict.fromkeys((*table.primary_key, *kept))),
            "key": table.primary_key,
            "prefilter": dict.fromkeys(match.prefilter, "true"),
        }
    )


def _gone(match: Match, table: Table) -> list[str]:
    return [name for name in match.hook_columns if table.column(name) is None]
