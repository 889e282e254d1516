"""Harder scenarios of a change trigger: many rows at once, `while` broken during a wait, people without an address."""

from collections.abc import Iterator

from runtime.rehearsal.change import NOBODY, Change, not_applicable
from runtime.rehearsal.deeds import Deed, deleted, inserted, updated, updated_together
from runtime.rehearsal.report import ScenarioResult, counted, messages
from runtime.rehearsal.row import Row
from runtime.rehearsal.stage import Actor
from runtime.spec.model import Operation


def trials(change: Change, *, alone: int) -> Iterator[ScenarioResult]:
    """Yield the scenarios; `alone` is how many messages one row led to."""
    yield _bulk(change, alone)
    yield _broken_while(change)
    yield _without_address(change)
    yield _captured(change)


def _captured(change: Change) -> ScenarioResult:
    """Look back at all scenarios: whatever happened, the hook missed nothing."""
    name, expected = "every change was captured", "the hook misses nothing"
    if change.play.missed:
        return ScenarioResult(name, "all of the above", expected, "failed", change.play.missed[0])
    return ScenarioResult(name, "all of the above", expected, "passed")


def _bulk(change: Change, alone: int) -> ScenarioResult:
    actors = change.stage.actors
    name, expected = "three rows in one statement", f"each row once: {counted(len(actors) * alone, 'message')}"
    deed = _together(change) if len(actors) > 1 else None
    if deed is None:
        return not_applicable(name, "no three rows were found that one statement could bring into the state")
    with change.play.world(deed.seeds) as world:
        world.write(deed.sql)
        sent = change.play.run_out(world)
        runs = len(world.runs())
    if runs != len(actors):
        reason = f"{len(actors)} rows changed and {counted(runs, 'run')} started"
        return ScenarioResult(name, deed.words, expected, "failed", reason, messages(sent))
    if len(sent) == len(actors) * alone:
        return ScenarioResult(name, deed.words, expected, "passed", got=messages(sent))
    reason = f"{counted(len(sent), 'message')} sent"
    if change.play.compiled.condition is None:
        return ScenarioResult(name, deed.words, expected, "failed", reason, messages(sent))
    reason = f"each row started one run; {reason}, because `if` looks at the other rows too"
    return ScenarioResult(name, deed.words, expected, "passed", reason, messages(sent))


def _together(change: Change) -> Deed | None:
    actors, others = change.stage.actors, change.stage.others
    around = tuple(row for actor in actors for row in actor.around)
    pairs = [(actor.before, actor.after) for actor in actors if actor.before is not None]
    if len(pairs) == len(actors):
        return updated_together((*others, *(before for before, _ in pairs), *around), pairs)
    if Operation.INSERT in change.pairs.operations and not change.pairs.needs_both:
        return inserted(others, [actor.after for actor in actors], around)
    return None


def _broken_while(change: Change) -> ScenarioResult:
    name, deed = "`while` stops holding during the first wait", change.first_deed()
    if change.play.compiled.while_ is None or not change.play.waits or deed is None:
        return not_applicable(name, "there is no `while`" if deed else "no change was found that starts a run")
    row = change.actor.after
    changes = change.pairs.while_broken(row)
    breaking = updated((), row, changes) if changes else deleted((), row)
    with change.play.world(deed.seeds) as world:
        world.write(deed.sql)
        before, due = world.sent(), world.next_due()
        waiting = [run for run in world.runs() if run.state == "waiting"]
        if due is None or not waiting:
            return not_applicable(name, "no run came to wait")
        world.advance(world.clock.now() + (due - world.clock.now()) / 2)
        world.write(breaking.sql)
        known = {one.id for one in before}
        sent = [one for one in change.play.run_out(world) if one.id not in known and one.run_id == waiting[0].id]
    done = f"{deed.words}; half-way through the wait {breaking.words}"
    if sent:
        return ScenarioResult(name, done, NOBODY, "failed", "it was sent all the same", messages(sent))
    return ScenarioResult(name, done, NOBODY, "passed")


def _without_address(change: Change) -> ScenarioResult:
    name, expected = "a person without an address", "no message, and a record that says why"
    actor, deed = change.actor, change.first_deed()
    if deed is None or not actor.unreachable:
        return not_applicable(name, "everybody who is told has an address: its column can't be NULL", expected=expected)
    person = actor.unreachable[0]
    changed = person.row.changed(person.changes)
    if changed.is_in([actor.after]):
        return not_applicable(name, "the address stands in the row itself", expected=expected)
    seeds = tuple(changed if row.is_in([person.row]) else row for row in deed.seeds)
    sql = _replaced(deed, actor, person.row, changed)
    with change.play.world(seeds) as world:
        world.write(sql)
        sent = [one for one in change.play.run_out(world) if one.step == person.step]
    done = f"{person.row.table.relation} without {' and '.join(person.changes)}; {deed.words}"
    if sent:
        return ScenarioResult(name, done, expected, "failed", "a message was sent", messages(sent))
    return ScenarioResult(name, done, expected, "passed")


def _replaced(deed: Deed, actor: Actor, row: Row, changed: Row) -> str:
    """Return the deed's statements with that row of its surroundings changed."""
    if row.is_in(actor.around) and not row.is_in(deed.seeds):
        around = [changed if one.is_in([row]) else one for one in actor.around]
        return inserted((), [actor.after], around).sql
    return deed.sql
