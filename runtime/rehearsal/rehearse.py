"""Rehearses a workflow: judges it, clones what it reads, sets a stage, plays every scenario, and writes a report."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

from runtime.errors import Invalid
from runtime.ledger.database import Ledger
from runtime.postgres.server import PostgresServer
from runtime.publishing.reports import record_report
from runtime.publishing.verdict import Verdict, judge
from runtime.publishing.versions import live_version
from runtime.rehearsal.agenda import arrange_agenda, next_slot
from runtime.rehearsal.arrange import Arrangement
from runtime.rehearsal.change import Change, positive
from runtime.rehearsal.facts import read_facts
from runtime.rehearsal.misses import misses
from runtime.rehearsal.pairs import Pairs
from runtime.rehearsal.play import Play
from runtime.rehearsal.report import Report, ScenarioResult, verdict
from runtime.rehearsal.rows import NoRow, Rows
from runtime.rehearsal.schedule import schedule_scenarios
from runtime.rehearsal.trials import trials
from runtime.rehearsal.workshop import Workshop
from runtime.rehearsal.world import START, World, open_world
from runtime.source.catalog import load_catalog
from runtime.source.reader import Source
from runtime.spec.model import ChangeTrigger, ScheduleTrigger, Workflow
from runtime.spec.survey import survey

Progress = Callable[[str], None]
_ACTORS = 3


def _silent(_: str) -> None:
    """Report nothing."""


def rehearse(
    source: Source,
    ledger: Ledger,
    scratch: PostgresServer,
    workflow: Workflow,
    *,
    progress: Progress | None = None,
    at: datetime = START,
) -> Report:
    """Play a workflow in scratch databases and return the report, which is stored for its digest.

    Only the catalog of the user's database is read; nothing is written there but the report, and nothing is sent.
    `scratch` must run. A workflow with problems is refused with Invalid, and nothing is stored.
    """
    tell = progress or _silent
    began = time.monotonic()
    tell("Judging the workflow")
    found = judge(source, ledger, workflow)
    if found.problems or found.compiled is None:
        raise Invalid(list(found.problems))
    tell(f"Cloning the shape of {len(found.compiled.reads)} table(s)")
    with _opened(source, scratch, found, at) as world:
        world.publish(workflow)
        results = [_said(result, tell) for result in _scenarios(world, workflow)]
        not_cloned = world.cloned.not_cloned
    passed, summary = verdict(results, nobody=_nobody(results))
    report = Report(
        workflow=workflow.workflow,
        digest=found.digest,
        passed=passed,
        summary=summary,
        scenarios=tuple(results),
        not_cloned=not_cloned,
        begins=at.isoformat(),
        seconds=round(time.monotonic() - began, 2),
    )
    record_report(ledger, found.digest, passed=passed, report=report.to_json())
    return report


@contextmanager
def _opened(source: Source, scratch: PostgresServer, found: Verdict, at: datetime) -> Iterator[World]:
    assert found.compiled is not None  # noqa: S101  # for the type checker: the caller has looked
    catalog = found.catalog
    relations = found.compiled.reads
    with open_world(
        scratch,
        source,
        relations,
        zone=catalog.zone,
        at=at,
        addresses={p: kind for p, kind in catalog.address_columns.items() if p.rsplit(".", 1)[0] in relations},
        contacts=catalog.contacts,
    ) as world:
        yield world


def _said(result: ScenarioResult, tell: Progress) -> ScenarioResult:
    tell(f"{result.name}: {result.status}")
    return result


def _scenarios(base: World, workflow: Workflow) -> Iterator[ScenarioResult]:
    """Yield every scenario, playing one at a time."""
    trigger = workflow.trigger
    at = base.clock.now() if isinstance(trigger, ChangeTrigger) else next_slot(trigger, base.clock.now())
    with base.copied() as workplace:
        shop = _workshop(workplace, workflow, at)
        play = Play(base, shop.compiled)
        if isinstance(trigger, ScheduleTrigger):
            yield from schedule_scenarios(play, arrange_agenda(shop, trigger), trigger)
        else:
            yield from _change_scenarios(shop, play, trigger)


def _change_scenarios(shop: Workshop, play: Play, trigger: ChangeTrigger) -> Iterator[ScenarioResult]:
    assert shop.found.table is not None  # noqa: S101  # for the type checker: it was judged
    pairs = Pairs(shop, trigger, shop.found.table)
    try:
        stage = Arrangement(shop, pairs).stage(_ACTORS)
    except NoRow as none:
        yield ScenarioResult("a row that matches", "", "somebody is told", "inconclusive", str(none))
        return
    change = Change(play, stage, pairs)
    results = list(positive(change))
    yield from results
    yield from misses(change)
    yield from trials(change, alone=next((len(result.got) for result in results if result.got), 0))


def _workshop(world: World, workflow: Workflow, at: datetime) -> Workshop:
    catalog = load_catalog(world.engine.source, world.engine.ledger)
    facts = read_facts(world.connection)
    rows = Rows(world.connection, facts, at=at, addresses=catalog.address_columns)
    with world.engine.ledger.transaction() as conn:
        version = live_version(conn, world.engine.ledger.project_id, workflow.workflow)
    assert version is not None  # noqa: S101  # for the type checker: it was published in this world
    return Workshop(world.connection, facts, survey(workflow, catalog), version.compiled, rows, at)


def _nobody(results: list[ScenarioResult]) -> str:
    """Return why nobody was told in any scenario, or nothing when somebody was."""
    if any(result.got for result in results if result.expected == "somebody is told"):
        return ""
    reasons = [result.reason for result in results if result.expected == "somebody is told" and result.reason]
    return reasons[0] if reasons else "no change was found that starts a run"
