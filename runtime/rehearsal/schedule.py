"""Scenarios of a schedule: before the slot, at the slot, with nothing to report, with people without an address."""

from collections.abc import Iterator

from runtime.rehearsal.agenda import Agenda
from runtime.rehearsal.change import not_applicable, not_told, silent, told
from runtime.rehearsal.play import SECOND, Play
from runtime.rehearsal.report import ScenarioResult, counted, messages
from runtime.rehearsal.waits import wait_results
from runtime.rehearsal.why import why_not
from runtime.spec.model import ScheduleTrigger


def schedule_scenarios(play: Play, agenda: Agenda, trigger: ScheduleTrigger) -> Iterator[ScenarioResult]:
    """Yield every scenario of a schedule; the second is the one that must tell somebody."""
    slot = f"{agenda.slot:%a %Y-%m-%d %H:%M}Z"
    with play.copy(agenda.rows) as world:
        world.advance(agenda.slot - SECOND)
        yield not_told("just before the slot", f"advance to a second before {slot}", world.sent())
        known = len(world.sent())
        world.advance(agenda.slot)
        world.unpublish(play.compiled.spec.workflow)  # this slot alone: its runs go on, the next slot starts none
        followed = play.follow(world)
        done = f"advance to {slot}, with {counted(len(agenda.rows), 'row')} in the tables"
        yield told("at the slot", done, followed.sent[known:], agenda.why_not, why_not(world))
        yield from wait_results(play, followed)
        yield from silent(play, {one.step for one in followed.sent})
    yield _without_items(play, agenda, trigger)
    yield _without_address(play, agenda)


def _without_items(play: Play, agenda: Agenda, trigger: ScheduleTrigger) -> ScenarioResult:
    name = "at the slot, with nothing in the tables"
    if not trigger.each:
        return not_applicable(name, "there is no `each`")
    with play.world(()) as world:
        world.advance(agenda.slot)
        return not_told(name, "advance to the slot with empty tables", world.sent())


def _without_address(play: Play, agenda: Agenda) -> ScenarioResult:
    name, expected = "a person without an address", "no message, and a record that says why"
    if not agenda.unreachable:
        return not_applicable(name, "everybody who is told has an address: its column can't be NULL", expected=expected)
    person = agenda.unreachable[0]
    changed = person.row.changed(person.changes)
    rows = [changed if row.is_in([person.row]) else row for row in agenda.rows]
    with play.copy(rows) as world:
        world.advance(agenda.slot)
        world.unpublish(play.compiled.spec.workflow)
        sent = [one for one in play.run_out(world) if one.step == person.step]
    done = f"{person.row.table.relation} without {' and '.join(person.changes)}; advance to the slot"
    if sent:
        return ScenarioResult(name, done, expected, "failed", "a message was sent", messages(sent))
    return ScenarioResult(name, done, expected, "passed")
