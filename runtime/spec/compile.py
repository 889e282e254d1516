"""Makes a valid workflow ready to run: SQL for whole batches with described results, the match, and compiled texts."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from runtime.errors import Invalid, Problem
from runtime.spec.compiled import CompiledStep, CompiledText, CompiledWorkflow, Match, Statement
from runtime.spec.duration import parse_duration
from runtime.spec.fragment import Fragment
from runtime.spec.match import build_match
from runtime.spec.model import ChangeTrigger, Operation, QueryStep, SendStep, WaitStep, Workflow, step_name
from runtime.spec.reach import columns_read, hook_columns, printed, tables_read
from runtime.spec.schema import Catalog, Column, Table
from runtime.spec.sqltypes import TIMESTAMP, TIMESTAMPTZ, base_type
from runtime.spec.statements import Scene, condition_sql, instant_sql, live_sql, query_sql
from runtime.spec.survey import Survey, operations, survey
from runtime.spec.validate import in_order, judge

Describe = Callable[[str], tuple[Column, ...]]
"""Plans a Statement's SQL and returns its columns, run_id among them. If it raises Invalid, each problem is told at the
statement's place; any other exception passes through with a note `at <path>` that names it."""
Texts = Callable[[SendStep, str], tuple[CompiledText, ...]]
"""Compiles the texts of a send; the second argument is the step's JSON pointer, for problems."""


@dataclass(frozen=True)
class Compilation:
    """A workflow compiled as far as it goes: a part that has a problem, or reads what has one, is left out of it."""

    workflow: CompiledWorkflow
    problems: tuple[Problem, ...]
    """Everything that validation, `describe` and `texts` have to say, warnings among it, in the order of the spec."""


def compile_workflow(workflow: Workflow, catalog: Catalog, *, describe: Describe, texts: Texts) -> CompiledWorkflow:
    """Compile a workflow; raises Invalid with every problem (warnings do not stop it)."""
    made = compile_sound_parts(workflow, catalog, describe=describe, texts=texts)
    problems = [problem for problem in made.problems if not problem.warning]
    if problems:
        raise Invalid(problems)
    return made.workflow


def compile_sound_parts(workflow: Workflow, catalog: Catalog, *, describe: Describe, texts: Texts) -> Compilation:
    """Compile what can be compiled, so that one answer holds what is wrong by itself and what the server refuses."""
    found = survey(workflow, catalog)
    problems = judge(found)
    compiler = _Compiler(found, describe, texts, [problem for problem in problems if not problem.warning])
    compiled = compiler.compiled()
    return Compilation(compiled, tuple(in_order([*problems, *compiler.problems])))


class _Compiler:
    """One compilation. Steps are compiled in order, because later ones read what earlier ones return."""

    def __init__(self, found: Survey, describe: Describe, texts: Texts, broken: list[Problem]) -> None:
        trigger = found.workflow.trigger
        self._found = found
        self._describe = describe
        self._texts = texts
        self._broken = [problem.path for problem in broken]
        self._unknown = {"new", "old", "live"} if isinstance(trigger, ChangeTrigger) and not found.table else set()
        self.problems: list[Problem] = []
        self._scene = Scene(
            table=found.table,
            captured=frozenset(hook_columns(found)),
            deletes=isinstance(trigger, ChangeTrigger) and Operation.DELETE in operations(trigger),
            zone=found.catalog.zone,
        )

    def compiled(self) -> CompiledWorkflow:
        each = self._query("/trigger/each")
        self._scene = replace(self._scene, items=each.columns if each else ())
        self._unknown |= set() if each else {"item"}
        condition, while_ = self._condition("/if"), self._condition("/while", row_must_exist=True)
        steps = tuple(self._steps())
        return CompiledWorkflow(
            spec=self._found.workflow,
            match=self._match(),
            each=each,
            item_columns=self._scene.items,
            condition=condition,
            while_=while_,
            live=self._live(),
            row=self._row() if while_ else None,
            steps=steps,
            reads=tables_read(self._found),
            columns_read=columns_read(self._found),
        )

    def _match(self) -> Match | None:
        trigger, table = self._found.workflow.trigger, self._found.table
        if not isinstance(trigger, ChangeTrigger) or table is None or self._is_broken("/trigger"):
            return None
        return build_match(trigger, table, self._found.fragments, hook_columns(self._found))

    def _steps(self) -> Iterator[CompiledStep]:
        for number, step in enumerate(self._found.workflow.steps):
            path = f"/steps/{number}"
            condition, name = self._condition(f"{path}/if"), step_name(step)
            match step:
                case QueryStep():
                    query = self._query(f"{path}/sql")
                    columns = query.columns if query else ()
                    self._unknown |= set() if query else {name}
                    self._scene = replace(self._scene, queries={**self._scene.queries, name: columns})
                    yield CompiledStep(name=name, kind="query", condition=condition, query=query)
                case WaitStep():
                    yield self._wait(step, path, condition)
                case SendStep():
                    yield CompiledStep(
                        name=name,
                        kind="send",
                        condition=condition,
                        query=self._query(f"{path}/to"),
                        texts=self._said(step, path),
                    )

    def _wait(self, step: WaitStep, path: str, condition: Statement | None) -> CompiledStep:
        if not step.duration or self._is_broken(path):
            until = self._instant(f"{path}/until")
            return CompiledStep(name=step.wait, kind="wait", condition=condition, until=until)
        duration = parse_duration(step.duration)
        return CompiledStep(
            name=step.wait, kind="wait", condition=condition, seconds=duration.seconds, months=duration.months
        )

    def _said(self, step: SendStep, path: str) -> tuple[CompiledText, ...]:
        try:
            return self._texts(step, path)
        except Invalid as error:
            self.problems += error.problems
            return ()

    def _query(self, path: str) -> Statement | None:
        fragment = self._sound(path)
        if fragment is None:
            return None
        sql = query_sql(fragment, self._scene)
        described = self._described(path, sql)
        if described is None:
            return None
        columns = tuple(column for column in described if column.name != "run_id")
        problems = list(_unusable(path, columns))
        if path.endswith("/to"):
            problems += _missing_addresses(fragment, columns, self._found.workflow)
        self.problems += problems
        return None if problems else Statement(sql=sql, columns=columns)

    def _condition(self, path: str, *, row_must_exist: bool = False) -> Statement | None:
        fragment = self._sound(path)
        if fragment is None:
            return None
        return Statement(sql=condition_sql(fragment, self._scene, row_must_exist=row_must_exist))

    def _instant(self, path: str) -> Statement | None:
        fragment = self._sound(path)
        if fragment is None:
            return None
        sql = instant_sql(fragment, self._scene)
        described = self._described(path, sql)
        if described is None:
            return None
        kind = base_type(described[-1])
        if kind == "date":
            return Statement(sql=instant_sql(fragment, self._scene, is_date=True))
        if kind != TIMESTAMPTZ:
            self.problems.append(_no_instant(path, kind))
        return Statement(sql=sql)

    def _sound(self, path: str) -> Fragment | None:
        """Return the fragment there, unless it has a problem or reads a row or result whose columns are not known."""
        fragment = self._found.fragments.get(path)
        if fragment is None or self._is_broken(path):
            return None
        return None if (fragment.uses.rows.keys() | fragment.uses.queries) & self._unknown else fragment

    def _is_broken(self, path: str) -> bool:
        return any(place == path or place.startswith(f"{path}/") for place in self._broken)

    def _described(self, path: str, sql: str) -> tuple[Column, ...] | None:
        try:
            return self._describe(sql)
        except Invalid as error:
            self.problems += [replace(problem, path=path) for problem in error.problems]
            return None
        except BaseException as error:
            error.add_note(f"at {path}")
            raise

    def _live(self) -> Statement | None:
        table = self._found.table
        names = printed(self._found, "live")
        if table is None or not table.primary_key or not names:
            return None
        return self._read_live(table, names)

    def _row(self) -> Statement | None:
        table = self._found.table
        return self._read_live(table, set(table.primary_key)) if table is not None and table.primary_key else None

    def _read_live(self, table: Table, names: set[str]) -> Statement:
        columns = tuple(column for column in table.columns if column.name in names)
        return Statement(sql=live_sql([column.name for column in columns], self._scene), columns=columns)


def _unusable(path: str, columns: tuple[Column, ...]) -> Iterator[Problem]:
    names = [column.name for column in columns]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield Problem(path, "duplicate-column", f"Two columns are called {name!r}.", "Name them apart with AS.")
    for column in columns:
        if column.type in {"record", "void"}:
            message = f"The column {column.name!r} is a row, not a value."
            yield Problem(path, "not-a-value", message, "Name the columns that are needed.")


def _missing_addresses(to: Fragment, columns: tuple[Column, ...], workflow: Workflow) -> Iterator[Problem]:
    """Where the columns were not known before (`SELECT *` of a function), an address column has no lineage either."""
    step = workflow.steps[int(to.path.split("/")[2])]
    names = {column.name for column in columns}
    for channel in step.channels if isinstance(step, SendStep) and to.is_open else ():
        if to.output(channel.value) is None:
            how = "does not trace to an approved column" if channel.value in names else "is missing"
            message = f"The column {channel.value!r} {how}."
            yield Problem(to.path, "address-lineage", message, "Select it by name from a table of the catalog.")


def _no_instant(path: str, kind: str) -> Problem:
    if kind == TIMESTAMP:
        message = "Gives a timestamp without a zone."
        return Problem(path, "no-instant", message, "Write (…) AT TIME ZONE 'UTC', or the zone that is meant.")
    message = f"Gives {kind or 'something else'}, not an instant."
    return Problem(path, "no-instant", message, "Write a timestamptz, like event.at + interval '3 days'.")
