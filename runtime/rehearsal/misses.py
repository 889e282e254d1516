"""Scenarios of a change trigger in which nobody may be told: rows that miss, NULL, other operations, a rollback."""

from collections.abc import Iterator

from runtime.rehearsal.change import Change, not_applicable, not_told
from runtime.rehearsal.deeds import Deed, deleted, differences, inserted, updated
from runtime.rehearsal.report import ScenarioResult
from runtime.rehearsal.row import Row
from runtime.rehearsal.rows import NoRow
from runtime.source.batch import Batch
from runtime.source.statements import holds
from runtime.spec.model import Operation

_DONE = {Operation.INSERT: "an insert", Operation.UPDATE: "an update", Operation.DELETE: "a delete"}


def misses(change: Change) -> Iterator[ScenarioResult]:
    """Yield the scenarios that must tell nobody."""
    yield _played(change, "a row that does not match", _other_row(change, "NOT TRUE"))
    yield _played(change, "a row that holds NULL", _other_row(change, "NULL"))
    yield _if_false(change)
    for operation in Operation:
        if operation not in change.pairs.operations:
            yield _played(change, f"{_DONE[operation]}, which is not asked for", _wrong_operation(change, operation))
    yield _rolled_back(change)


def _played(change: Change, name: str, deed: Deed | str) -> ScenarioResult:
    """Play a deed after which nobody may be told; a text says why there is none."""
    if isinstance(deed, str):
        return not_applicable(name, deed)
    with change.play.world(deed.seeds) as world:
        world.write(deed.sql)
        return not_told(name, deed.words, change.play.run_out(world))


def _other_row(change: Change, answer: str) -> Deed | str:
    """Return a change of a row for which the trigger's condition has that answer, or why there is none."""
    wanted = change.pairs.state(answer)
    if not wanted:
        return _other_pair(change) if answer == "NOT TRUE" else "the trigger compares no column of one row"
    actor, others = change.actor, change.stage.others
    try:
        row = actor.after.changed(change.pairs.change(actor.after, *wanted))
    except NoRow as none:
        return "no column that it compares can be NULL" if answer == "NULL" else str(none)
    if change.pairs.deletes:
        return deleted((*others, row), row)
    if Operation.INSERT in change.pairs.operations and not change.pairs.needs_both:
        return inserted(others, [row], actor.around)
    if actor.before is None:
        return "no row was found that an update could bring into the state"
    if row.values == actor.before.values:
        row = actor.before.changed(change.pairs.unrelated(actor.before))
    return updated((*others, actor.before, *actor.around), actor.before, differences(actor.before, row))


def _other_pair(change: Change) -> Deed | str:
    """Return, where the trigger only compares before with after, an update that changes something else."""
    if Operation.UPDATE not in change.pairs.operations or not (change.pairs.needs_both or change.trigger.columns):
        return "every such change starts a run"
    actor = change.actor
    seeds = (*change.stage.others, actor.after, *actor.around)
    return updated(seeds, actor.after, change.pairs.unrelated(actor.after))


def _if_false(change: Change) -> ScenarioResult:
    """Play a change that the trigger lets through and `if` turns away."""
    name, condition = "the trigger matches and `if` does not hold", change.play.compiled.condition
    if condition is None:
        return not_applicable(name, "there is no `if`")
    for deed in _turned_away(change):
        with change.play.world(deed.seeds) as world:
            world.write(deed.sql)
            runs = [run.id for run in world.runs()]
            events = world.connection.execute("SELECT new::text, old::text FROM tidings.event ORDER BY id").fetchall()
            new, old = events[0] if events else (None, None)
            batch = Batch(ids=runs[:1], at=[world.clock.now()] * len(runs[:1]), new=[new], old=[old])
            with world.engine.source.read() as conn:
                if not runs or holds(conn, condition, batch, world.clock.now())[runs[0]]:
                    continue
            return not_told(name, deed.words, change.play.run_out(world))
    return not_applicable(name, "no row was found for which it is not true")


def _turned_away(change: Change) -> Iterator[Deed]:
    """Yield changes that `if` may turn away: another trigger row, then the same without what was made around it."""
    actor = change.actor
    for wanted in change.pairs.not_later():
        try:
            row = actor.after.changed(change.pairs.change(actor.after, *change.pairs.state("TRUE"), wanted))
        except NoRow:
            continue
        yield from _deeds_for(change, row, change.stage.others, actor.around)
    needed = _needed_by(actor.after, change.stage.others)
    yield from _deeds_for(change, actor.after, needed, ())


def _deeds_for(change: Change, row: Row, others: tuple[Row, ...], around: tuple[Row, ...]) -> Iterator[Deed]:
    if change.pairs.deletes:
        yield deleted((*others, row), row)
    elif Operation.INSERT in change.pairs.operations and not change.pairs.needs_both:
        yield inserted(others, [row], around)
    elif (before := change.pairs.before(row)) is not None:
        yield updated((*others, before, *around), before, differences(before, row))


def _needed_by(row: Row, rows: tuple[Row, ...]) -> tuple[Row, ...]:
    """Return the parents of a row, and theirs, in their order."""
    needed = [row]
    for _ in rows:
        more = [one for one in rows if not one.is_in(needed) and any(child.refers_to(one) for child in needed)]
        if not more:
            break
        needed += more
    return tuple(one for one in rows if one.is_in(needed))


def _wrong_operation(change: Change, operation: Operation) -> Deed | str:
    actor, others = change.actor, change.stage.others
    if operation is Operation.INSERT:
        return inserted(others, [actor.after], actor.around)
    if operation is Operation.DELETE:
        return deleted((*others, actor.after), actor.after)
    changes = change.pairs.unrelated(actor.after)
    return updated((*others, actor.after, *actor.around), actor.after, changes)


def _rolled_back(change: Change) -> ScenarioResult:
    name, deed = "the change is rolled back", change.first_deed()
    if deed is None:
        return not_applicable(name, "no change was found that starts a run")
    with change.play.world(deed.seeds) as world:
        world.write(deed.undone)
        return not_told(name, f"{deed.words}; ROLLBACK", change.play.run_out(world))
