"""The grader: a spec is right when in every scenario exactly the expected messages are in the outbox, and nothing else.

Everything runs for real: hooks in a clone of the schema, the engine on a virtual clock, templates, the inbox.
"""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

import psycopg
from psycopg import sql

from evals.case import ADDRESSES, FOLDER, Case, Expected, Scenario, Step, at, load_seeds
from runtime.errors import TidingsError
from runtime.postgres.server import PostgresServer
from runtime.rehearsal.seen import Sent
from runtime.rehearsal.world import World, open_world
from runtime.spec.duration import parse_duration
from runtime.spec.model import Workflow

_MINUTE = timedelta(seconds=60)


@dataclass(frozen=True)
class Verdict:
    """What one scenario, or the publish before it, came to."""

    scenario: str
    passed: bool
    why: str = ""


@dataclass(frozen=True)
class Grade:
    """How a spec did on a case."""

    case: str
    verdicts: tuple[Verdict, ...]

    @property
    def passed(self) -> bool:
        """Return whether every scenario passed."""
        return all(verdict.passed for verdict in self.verdicts)


@contextmanager
def open_stage(server: PostgresServer, schema: str) -> Iterator[World]:
    """Yield a world that is a seeded clone of one of the schemas; specs are graded in copies of it."""
    with _original(server, schema) as url, open_world(server, url, addresses=ADDRESSES[schema]) as world:
        world.seed(at(load_seeds()[schema], world.clock.now()))
        yield world


def grade(stage: World, case: Case, workflow: Workflow) -> Grade:
    """Publish the workflow in a copy of the stage, play each scenario in a copy of that, compare the outbox exactly."""
    with stage.copied() as world:
        try:
            world.publish(workflow)
        except TidingsError as error:
            return Grade(case.case, (Verdict("publish", passed=False, why=str(error)),))
        return Grade(case.case, tuple(_play(world, scenario) for scenario in case.scenarios))


@contextmanager
def _original(server: PostgresServer, schema: str) -> Iterator[str]:
    """Yield the URL of a database with the schema: what a user's would be."""
    name = sql.Identifier(f"eval_{schema}_{os.getpid()}")
    with psycopg.connect(server.url, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(name))
    url = server.database_url(name.as_string(None).strip('"'))
    try:
        with psycopg.connect(url, autocommit=True) as conn:
            conn.execute((FOLDER / "schemas" / f"{schema}.sql").read_bytes())
        yield url
    finally:
        with psycopg.connect(server.url, autocommit=True) as admin:
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))


def _play(original: World, scenario: Scenario) -> Verdict:
    with original.copied() as world:
        for number, step in enumerate(scenario.steps, start=1):
            if why := _do(world, step):
                return Verdict(scenario.name, passed=False, why=f"step {number}: {why}")
    return Verdict(scenario.name, passed=True)


def _do(world: World, step: Step) -> str:
    """Do one step and return what is wrong afterwards, if the step asks."""
    if step.do:
        world.write(at(step.do, world.clock.now()))
    elif step.roll_back:
        world.write(f"BEGIN; {at(step.roll_back, world.clock.now())}; ROLLBACK")
    elif step.wait:
        world.advance(timedelta(seconds=parse_duration(step.wait).seconds))
    elif step.until:
        world.advance(step.until)
    elif step.expect is not None:
        return "; ".join(differences(step.expect, world.sent()))
    return ""


def differences(expected: Sequence[Expected], sent: Sequence[Sent]) -> list[str]:
    """Return what the outbox has too much, too little or otherwise than expected."""
    wanted = Counter({(e.channel, e.address): e.count for e in expected})
    found = Counter((s.channel, s.address) for s in sent)
    said = [
        f"{found[way]} instead of {wanted[way]} message(s) to {way[1]} by {way[0]}"
        for way in sorted({*wanted, *found})
        if found[way] != wanted[way]
    ]
    for one in expected:
        for message in sent:
            if (message.channel, message.address) == (one.channel, one.address):
                said += _unlike(one, message)
    return said


def _unlike(expected: Expected, message: Sent) -> Iterator[str]:
    words = f"{message.subject}\n{message.text}"
    for text in expected.contains:
        if text not in words:
            yield f"{text!r} is missing in {words!r}"
    for text in expected.lacks:
        if text in words:
            yield f"{text!r} stands in {words!r}"
    for text in expected.html_lacks:
        if text in message.html:
            yield f"{text!r} stands in the HTML"
    if expected.locale and f'lang="{expected.locale}"' not in message.html:
        yield f"it is not in {expected.locale!r}"
    if expected.at is not None and not _same_minute(message.at, expected.at):
        yield f"it was sent at {message.at.isoformat()}, not at {expected.at.isoformat()}"


def _same_minute(one: datetime, other: datetime) -> bool:
    return abs(one - other) <= _MINUTE
