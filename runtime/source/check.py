"""Lets the live server judge a compiled workflow: every statement is planned as the reader role, none is executed."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from psycopg import Connection, Error, errors, sql

from runtime.errors import Problem
from runtime.source.describe import estimated_cost
from runtime.spec.compiled import CompiledWorkflow, Match, Statement
from runtime.spec.model import ChangeTrigger

COST_CEILING = 1_000_000.0
"""In the planner's units, for one run: about what a server reads in ten seconds, which is the statement timeout."""


def check_statements(conn: Connection[Any], compiled: CompiledWorkflow) -> list[Problem]:
    """Return what the server holds against a workflow: unknown names, types, missing grants, costs. Leaves no trace."""
    return [problem for part in _parts(compiled) if (problem := _plan(conn, part)) is not None]


class _Part(NamedTuple):
    path: str
    sql: str


def _parts(compiled: CompiledWorkflow) -> Iterator[_Part]:
    if compiled.match is not None:
        yield from _match_parts(compiled.match, compiled.spec.trigger)
    yield from _part("/trigger/each", compiled.each)
    yield from _part("/if", compiled.condition)
    yield from _part("/while", compiled.while_)
    yield from _part("/trigger", compiled.live)
    for number, step in enumerate(compiled.steps):
        yield from _part(f"/steps/{number}/if", step.condition)
        yield from _part(f"/steps/{number}/{'to' if step.kind == 'send' else 'sql'}", step.query)
        yield from _part(f"/steps/{number}/until", step.until)


def _part(path: str, statement: Statement | None) -> Iterator[_Part]:
    if statement is not None:
        yield _Part(path, statement.sql)


def _match_parts(match: Match, trigger: object) -> Iterator[_Part]:
    """Wrap the row conditions in a SELECT over one empty row, as the hook and the claim will evaluate them."""
    path = "/trigger/becomes" if isinstance(trigger, ChangeTrigger) and trigger.becomes else "/trigger/when"
    table = sql.Identifier(*match.relation.split(".", 1)).as_string(None)
    empty = f"jsonb_populate_record(NULL::{table}, '{{}}')"
    event = f"FROM {empty} AS new, {empty} AS old, (SELECT 'i'::text AS op) AS event"
    yield _Part(path, _escaped(f"SELECT {match.condition} {event}"))
    for expression in sorted(set(match.prefilter.values())):
        yield _Part(path, _escaped(f"SELECT {expression} FROM {empty} AS n, {empty} AS o"))


def _escaped(text: str) -> str:
    return text.replace("%", "%%")


def _plan(conn: Connection[Any], part: _Part) -> Problem | None:
    try:
        cost = estimated_cost(conn, part.sql)
    except Error as error:
        return refusal(part.path, error)
    if cost <= COST_CEILING:
        return None
    return Problem(
        part.path,
        "too-expensive",
        f"The server estimates a cost of {cost:,.0f} for one run; the ceiling is {COST_CEILING:,.0f}.",
        "Narrow it by an indexed column, such as the key of the row that changed, or add an index.",
    )


def refusal(path: str, error: Error) -> Problem:
    """Say what the server holds against the SQL at a place of a spec, and what to write instead."""
    message = (error.diag.message_primary or str(error)).rstrip(".")
    hint = error.diag.message_hint or ""
    match error:
        case errors.UndefinedColumn() | errors.UndefinedTable() | errors.AmbiguousColumn() | errors.InvalidSchemaName():
            code, fix = (
                "unknown-name",
                hint or "Use the names of the catalog (`describe_schema`), qualified by an alias.",
            )
        case errors.InsufficientPrivilege():
            code = "not-readable"
            fix = "Ask a person to approve it: `tidings init` again, or `tidings doctor --grants` for the exact SQL."
        case errors.UndefinedFunction() | errors.AmbiguousFunction():
            code, fix = "unknown-function", hint or "Cast the arguments, or use a built-in function of that meaning."
        case errors.DataError():
            code, fix = "bad-value", hint or "Write the literal as the column's type expects it."
        case errors.QueryCanceled() | errors.LockNotAvailable():
            code, fix = "not-planned", "The server was busy or the table locked; validate again."
        case _:
            code, fix = "refused-by-postgres", hint or "Change the SQL so that Postgres accepts it."
    return Problem(path, code, f"Postgres says: {message}.", fix)
