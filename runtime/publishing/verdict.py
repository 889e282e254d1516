"""The verdict on a workflow: all that is wrong or doubtful in one answer, and what exactly would be published."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import Connection, Error

from runtime.errors import Invalid, Problem
from runtime.ledger.database import Ledger
from runtime.ledger.project import load_project
from runtime.publishing.drift import fingerprint_read
from runtime.source.catalog import load_catalog
from runtime.source.check import check_statements, refusal
from runtime.source.describe import describe
from runtime.source.reader import Source
from runtime.spec.canonical import canonical, digest
from runtime.spec.compile import Describe, compile_sound_parts
from runtime.spec.compiled import CompiledStep, CompiledText, CompiledWorkflow, Statement
from runtime.spec.model import SendStep, Workflow
from runtime.spec.names import Names, names_in_scope
from runtime.spec.schema import Catalog, Column
from runtime.spec.validate import in_order
from runtime.spec.words import in_words
from runtime.templates.compile import check_texts, compile_texts


@dataclass(frozen=True)
class Verdict:
    """What validation, the templates and the live server say about one workflow."""

    problems: tuple[Problem, ...]
    """What stops a publish, in the order of the spec."""
    warnings: tuple[Problem, ...]
    compiled: CompiledWorkflow | None
    """None when there are problems."""
    digest: str
    """Names exactly this: the spec, its compiled texts and statements, what it reads as it looks now, and the mode.
    Empty when there are problems."""
    words: str
    """The workflow in our words, whoever wrote `about`."""
    fingerprint: str
    """Of what it reads, for drift. Empty when there are problems."""
    catalog: Catalog
    mode: str = "inbox"


def judge(source: Source, ledger: Ledger, workflow: Workflow) -> Verdict:
    """Judge a workflow against the database as it is now; reads only. Bad workflows are an answer, not an error."""
    catalog = load_catalog(source, ledger)
    with ledger.transaction() as conn:
        mode = load_project(conn, ledger.project_id).mode
    with source.read() as conn:
        made = compile_sound_parts(workflow, catalog, describe=_describing(conn), texts=lambda _step, _path: ())
        found = [*made.problems, *check_statements(conn, made.workflow)]
    names = names_in_scope(workflow, catalog, _described(made.workflow))
    if not all(problem.warning for problem in found):
        names = {send: _without_doubts(send, roots, made.workflow) for send, roots in names.items()}
    found += _said_of_texts(workflow, names)
    texts: dict[str, tuple[CompiledText, ...]] = {}
    if all(problem.warning for problem in found):
        texts = _compiled_texts(workflow, names)
    problems = tuple(problem for problem in in_order(found) if not problem.warning)
    warnings = tuple(problem for problem in in_order(found) if problem.warning)
    words = in_words(workflow)
    if problems:
        return Verdict(problems, warnings, None, "", words, "", catalog, mode)
    compiled = _with_texts(made.workflow, texts)
    fingerprint = fingerprint_read(catalog, compiled)
    return Verdict(
        problems, warnings, compiled, _digest(compiled, fingerprint, mode), words, fingerprint, catalog, mode
    )


def _describing(conn: Connection[Any]) -> Describe:
    """Turn what the server refuses into problems; a connection that broke is none of the author's."""

    def columns(sql: str) -> tuple[Column, ...]:
        try:
            return describe(conn, sql)
        except Error as error:
            if conn.closed:
                raise
            raise Invalid([refusal("", error)]) from error

    return columns


def _described(compiled: CompiledWorkflow) -> dict[str, Sequence[Column]]:
    return {step.name: step.query.columns for step in compiled.steps if step.query is not None}


class _AnyColumn(Mapping[str, bool]):
    """The columns of a row that has a problem of its own: what a text prints of it may be right once that is mended."""

    def __getitem__(self, name: str) -> bool:
        return False

    def __contains__(self, name: object) -> bool:
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def _without_doubts(send: str, roots: Mapping[str, Names], compiled: CompiledWorkflow) -> dict[str, Names]:
    """Keep one problem from being told again, as a NULL, for each place that prints what it hides."""
    broken = {step.name for step in compiled.steps if step.query is None}
    broken |= {"recipient"} if send in broken else set()

    def sure(name: str, root: Names) -> Names:
        if root.columns is None:
            return Names(_AnyColumn(), root.rows)
        return Names(dict.fromkeys(root.columns, False), root.rows) if name in broken else root

    return {name: sure(name, root) for name, root in roots.items()}


def _said_of_texts(workflow: Workflow, names: Mapping[str, Mapping[str, Names]]) -> list[Problem]:
    problems: list[Problem] = []
    for number, step in enumerate(workflow.steps):
        if isinstance(step, SendStep):
            problems += check_texts(step, f"/steps/{number}", names[step.send])
    return problems


def _compiled_texts(
    workflow: Workflow, names: Mapping[str, Mapping[str, Names]]
) -> dict[str, tuple[CompiledText, ...]]:
    """Return the texts by the name of their step; `check_texts` found nothing wrong with them."""
    return {
        step.send: compile_texts(step, f"/steps/{number}", names[step.send])
        for number, step in enumerate(workflow.steps)
        if isinstance(step, SendStep)
    }


def _with_texts(compiled: CompiledWorkflow, texts: Mapping[str, tuple[CompiledText, ...]]) -> CompiledWorkflow:
    steps = tuple(step.model_copy(update={"texts": texts.get(step.name, ())}) for step in compiled.steps)
    return compiled.model_copy(update={"steps": steps})


def _digest(compiled: CompiledWorkflow, fingerprint: str, mode: str) -> str:
    """Digest what would run. Not the results' columns: they carry comments, and what matters of them is in the SQL."""
    whole = (compiled.each, compiled.condition, compiled.while_, compiled.live, compiled.row)
    return digest(
        {
            "spec": canonical(compiled.spec),
            "match": compiled.match,
            "statements": [_sql(statement) for statement in whole],
            "steps": [_essence(step) for step in compiled.steps],
            "fingerprint": fingerprint,
            "mode": mode,
        }
    )


def _essence(step: CompiledStep) -> dict[str, Any]:
    statements = (step.condition, step.query, step.until)
    return {"name": step.name, "statements": [_sql(statement) for statement in statements], "texts": list(step.texts)}


def _sql(statement: Statement | None) -> str | None:
    return statement.sql if statement else None
