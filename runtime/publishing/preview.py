"""The preview of a workflow's messages on a real row: everything is read, nothing is stored or sent."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from psycopg import Connection, DataError, Error

from runtime.clock import Clock
from runtime.errors import Invalid, NotFound, Problem
from runtime.ledger.database import Ledger
from runtime.ledger.project import clock_for, load_project
from runtime.publishing.sample import RUN, Sample, given_row, sample_item, sample_row
from runtime.publishing.verdict import judge
from runtime.source.check import refusal
from runtime.source.reader import Source
from runtime.source.statements import holds, run_statement
from runtime.spec.compiled import CompiledStep, CompiledWorkflow, Statement
from runtime.spec.model import ScheduleTrigger, SendStep, Workflow, step_name
from runtime.spec.nearest import did_you_mean
from runtime.templates.choice import choose_text
from runtime.templates.rendering import RenderFailed, render

PEOPLE = 3
"""How many people of each send are shown."""
UNSUBSCRIBE = "https://unsubscribe.invalid/preview"
"""Stands where the real message has each person's own link."""


@dataclass(frozen=True)
class PreviewMessage:
    """What one person would get."""

    channel: str
    address: str
    locale: str
    """The person's; the text is the nearest there is."""
    subject: str
    html: str
    """Empty for Slack."""
    text: str
    step: str = ""
    """The send step's name."""
    rows: Mapping[str, Any] = field(default_factory=dict)
    """What the text could print, by name: whoever may not see all of it knows by this what to hide."""


@dataclass(frozen=True)
class Preview:
    """A workflow's messages for one row or item. All of it may hold values of that row."""

    row_key: str
    """Which row or item."""
    messages: tuple[PreviewMessage, ...]
    """In the order of the steps, at most three people each."""
    notes: tuple[str, ...]
    """What the messages alone don't tell: conditions that do not hold, people without an address, texts that fail."""


def preview_message(
    source: Source,
    ledger: Ledger,
    workflow: Workflow,
    *,
    key: str | Mapping[str, Any] | None = None,
    row: Mapping[str, Any] | None = None,
    step: str | None = None,
    locale: str | None = None,
    clock: Clock | None = None,
) -> Preview:
    """Render what people would get for the row with that key, for a made-up row, or for the newest row that matches.

    Queries and recipients are read as the reader, as they are now; waits are passed over. A schedule is shown for its
    next slot. `step` shows that send alone, `locale` shows its texts as people of that language get them. Raises
    Invalid for a workflow with problems or whose SQL fails on this row, NotFound when there is no such row or step.
    """
    sends = [step_name(one) for one in workflow.steps if isinstance(one, SendStep)]
    if step is not None and step not in sends:
        raise NotFound(f"No send is called {step!r}. {did_you_mean(step, sends)}")
    verdict = judge(source, ledger, workflow)
    if verdict.compiled is None:
        raise Invalid(list(verdict.problems))
    compiled, catalog = verdict.compiled, verdict.catalog
    now = _now(ledger, clock)
    with source.read() as conn, _Refusing("/trigger"):
        if row is not None:
            sample = given_row(compiled.match, row, now)
        elif compiled.match is not None:
            sample = sample_row(conn, compiled.match, catalog, now=now, key=key)
        else:
            sample = sample_item(conn, _schedule(workflow), compiled.each, now=now, key=key)
        walk = _Walk(conn, compiled, sample, max(now, sample.at), catalog.zone, locale)
        messages = tuple(walk.messages(step))
    return Preview(sample.key, messages, (*sample.notes, *dict.fromkeys(walk.notes)))


def _schedule(workflow: Workflow) -> ScheduleTrigger:
    assert isinstance(workflow.trigger, ScheduleTrigger)  # noqa: S101  # for the type checker: it has no match
    return workflow.trigger


def _now(ledger: Ledger, clock: Clock | None) -> datetime:
    if clock is not None:
        return clock.now()
    with ledger.transaction() as conn:
        return clock_for(load_project(conn, ledger.project_id)).now()


@dataclass
class _Walk:
    """One run's way through the steps, reading only."""

    conn: Connection[Any]
    compiled: CompiledWorkflow
    sample: Sample
    now: datetime
    zone: str
    locale: str | None
    notes: list[str] = field(default_factory=list)
    context: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def messages(self, only: str | None) -> Iterator[PreviewMessage]:
        """Yield the messages of each send, or of one alone."""
        self._note_unless(
            self.compiled.condition, "/if", "The workflow's `if` does not hold: no message would be sent."
        )
        self._note_unless(self.compiled.while_, "/while", "`while` does not hold now: no message would be sent.")
        live = self._live()
        for number, step in enumerate(self.compiled.steps):
            path = f"/steps/{number}"
            what = f"`if` of {step.name!r} does not hold now: "
            if step.kind == "query":
                holds_now = self._note_unless(step.condition, f"{path}/if", f"{what}it has no rows.")
                self.context[step.name] = self._rows(step.query, f"{path}/sql") if holds_now else []
            elif step.kind == "wait":
                self.notes.append("Waits are passed over: rows and people are as they are now.")
            elif only in (None, step.name):
                self._note_unless(step.condition, f"{path}/if", f"{what}this message would not be sent.")
                yield from self._send(step, number, live)

    def _send(self, step: CompiledStep, number: int, live: dict[str, Any] | None) -> Iterator[PreviewMessage]:
        spec = self.compiled.spec.steps[number]
        assert isinstance(spec, SendStep)  # noqa: S101  # for the type checker: compiled steps stand in their order
        people = self._people(step, spec, number)
        names = {"new": self.sample.new, "old": self.sample.old, "live": live, "item": self.sample.item}
        known = {name: _plain(value) for name, value in (*names.items(), *self.context.items()) if value is not None}
        for person in people[:PEOPLE]:
            channel, address = _way(person, spec)
            locale = self.locale or str(person.get("locale") or "")
            printable = {**known, "recipient": _plain(person)}
            try:
                rendered = render(
                    choose_text(step.texts, channel, locale),
                    {**printable, "event": {"at": self.sample.at.isoformat()}},
                    locale=locale,
                    zone=str(person.get("zone") or self.zone),
                    links={"unsubscribe": UNSUBSCRIBE} if spec.category != "transactional" else {},
                )
            except RenderFailed as error:
                self.notes.append(f"The text of {step.name!r} fails for one of the people: {error}")
                continue
            yield PreviewMessage(
                channel, address, locale, rendered.subject, rendered.html, rendered.text, step.name, printable
            )

    def _people(self, step: CompiledStep, spec: SendStep, number: int) -> list[dict[str, Any]]:
        """Return whom the send reaches, each person once; those it can't reach are noted."""
        rows = self._rows(step.query, f"/steps/{number}/to")
        reached = [person for person in rows if _way(person, spec)[1]]
        once = {str(person.get("key") or _way(person, spec)[1]): person for person in reversed(reached)}
        people = list(reversed(once.values()))
        if not rows:
            self.notes.append(f"Nobody would get {step.name!r}: `to` returns no row.")
        elif len(reached) < len(rows):
            unreached = len(rows) - len(reached)
            self.notes.append(f"{unreached} of {len(rows)} people have no address for {step.name!r}.")
        if len(people) > PEOPLE:
            self.notes.append(f"{step.name!r} goes to {len(people):,} people: {PEOPLE} are shown.")
        return people

    def _live(self) -> dict[str, Any] | None:
        if self.compiled.live is None:
            return None
        rows = self._rows(self.compiled.live, "/trigger")
        return rows[0] if rows else {}

    def _rows(self, statement: Statement | None, path: str) -> list[dict[str, Any]]:
        if statement is None:
            return []
        with _Refusing(path):
            return run_statement(self.conn, statement, self.sample.batch(self.context), self.now).get(RUN, [])

    def _note_unless(self, condition: Statement | None, path: str, note: str) -> bool:
        if condition is None:
            return True
        with _Refusing(path):
            answer = holds(self.conn, condition, self.sample.batch(self.context), self.now)[RUN]
        self.notes += [] if answer else [note]
        return answer


class _Refusing:
    """Turns what the server answers on this row into a problem at its place."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, at: object) -> None:
        if isinstance(error, DataError):
            raise Invalid([_bad_value(self._path, error)], subject="SQL on this row") from None
        if isinstance(error, Error):
            raise Invalid([refusal(self._path, error)], subject="SQL on this row") from error


def _bad_value(path: str, error: DataError) -> Problem:
    """Say what kind of value the SQL can't take, without the value: this may be told to somebody who may not see it."""
    kind = re.sub(r"(?<!^)(?=[A-Z])", " ", type(error).__name__).lower()
    message = f"Fails on this row: {kind} ({error.sqlstate})."
    return Problem(path, "bad-value", message, "Write the SQL so that it holds for every value the column may have.")


def _way(person: Mapping[str, Any], spec: SendStep) -> tuple[str, str]:
    """Return the first channel that the person has an address for, and the address; empty when there is none."""
    for channel in spec.channels:
        address = str(person.get(channel.value) or "").strip()
        if address:
            return channel.value, address
    return spec.channels[0].value, ""


def _plain(value: Any) -> Any:
    """Return a value as texts see it: rows as dicts, times as ISO texts."""
    match value:
        case dict():
            return {name: _plain(inner) for name, inner in value.items()}
        case list() | tuple():
            return [_plain(inner) for inner in value]
        case datetime() | date():
            return value.isoformat()
        case _:
            return value
