"""Scenarios of a change trigger in which somebody must be told: the change, each wait, and that it happens once."""

from collections.abc import Iterator
from dataclasses import dataclass

from runtime.rehearsal.deeds import Deed, deleted, differences, inserted, updated
from runtime.rehearsal.pairs import Pairs
from runtime.rehearsal.play import Followed, Play
from runtime.rehearsal.report import ScenarioResult, counted, messages
from runtime.rehearsal.seen import Sent
from runtime.rehearsal.stage import Actor, Stage
from runtime.rehearsal.waits import wait_results
from runtime.rehearsal.why import why_not
from runtime.rehearsal.world import World
from runtime.spec.model import ChangeTrigger, Operation

SOMEBODY = "somebody is told"
NOBODY = "nobody is told"


@dataclass(frozen=True)
class Change:
    """What the scenarios of one workflow have in common."""

    play: Play
    stage: Stage
    pairs: Pairs

    @property
    def actor(self) -> Actor:
        """Return the first trigger row."""
        return self.stage.actors[0]

    @property
    def trigger(self) -> ChangeTrigger:
        """Return the workflow's trigger."""
        trigger = self.play.compiled.spec.trigger
        assert isinstance(trigger, ChangeTrigger)  # noqa: S101  # the caller chose by the trigger
        return trigger

    def deed(self, operation: Operation) -> Deed | None:
        """Return the change that starts a run by this operation; None where none was found or it never starts one."""
        actor, others = self.actor, self.stage.others
        if operation not in self.pairs.operations:
            return None
        match operation:
            case Operation.INSERT:
                return None if self.pairs.needs_both else inserted(others, [actor.after], actor.around)
            case Operation.UPDATE:
                if actor.before is None:
                    return None
                seeds = (*others, actor.before, *actor.around)
                return updated(seeds, actor.before, differences(actor.before, actor.after))
            case Operation.DELETE:
                return deleted((*others, actor.after), actor.after)

    def first_deed(self) -> Deed | None:
        """Return the change that most scenarios begin with: an update where there is one, else an insert or delete."""
        deeds = (self.deed(operation) for operation in (Operation.UPDATE, Operation.INSERT, Operation.DELETE))
        return next((deed for deed in deeds if deed is not None), None)


def positive(change: Change) -> Iterator[ScenarioResult]:
    """Yield a scenario for each operation that starts a run, and what follows the first of them."""
    names = {
        Operation.UPDATE: "an update into the state" if change.trigger.becomes else "an update",
        Operation.INSERT: "an insert that arrives in the state" if change.trigger.becomes else "an insert",
        Operation.DELETE: "a delete",
    }
    told_by: set[str] = set()
    first = True
    for operation, name in names.items():
        deed = change.deed(operation)
        if deed is None:
            if operation in change.pairs.operations:
                yield _without_a_deed(change, operation, name)
            continue
        with change.play.world(deed.seeds) as world:
            world.write(deed.sql)
            followed = change.play.follow(world)
            told_by |= {one.step for one in followed.sent}
            yield told(name, deed.words, followed.sent, change.actor.why_not, why_not(world))
            if first:
                yield from wait_results(change.play, followed)
                yield from _edge(change, world, deed, followed)
        first = False
    yield from silent(change.play, told_by)


def silent(play: Play, told_by: set[str]) -> Iterator[ScenarioResult]:
    """Yield the sends that told nobody in any scenario, where others did: they may be for other rows than these."""
    sends = [step.name for step in play.compiled.steps if step.kind == "send"]
    for name in sends if told_by else ():
        if name not in told_by:
            reason = "it told nobody with these rows; look at a preview of it"
            yield not_applicable(f"send {name}", reason, expected=SOMEBODY)


def told(name: str, done: str, sent: tuple[Sent, ...], nobody: str, recorded: str) -> ScenarioResult:
    """Return the result of a scenario in which somebody must be told.

    `nobody` is what the statements themselves say against it: then nothing is proven, except that nobody is told.
    """
    if sent:
        return ScenarioResult(name, done, SOMEBODY, "passed", got=messages(sent))
    if nobody:
        return ScenarioResult(
            name, done, SOMEBODY, "inconclusive", f"no row was found that ends in a message: {nobody}"
        )
    return ScenarioResult(name, done, SOMEBODY, "failed", recorded)


def not_told(name: str, done: str, sent: list[Sent] | tuple[Sent, ...]) -> ScenarioResult:
    """Return the result of a scenario in which nobody may be told."""
    if not sent:
        return ScenarioResult(name, done, NOBODY, "passed")
    reason = f"{counted(len(sent), 'message')} sent"
    return ScenarioResult(name, done, NOBODY, "failed", reason, got=messages(sent))


def not_applicable(name: str, reason: str, *, expected: str = NOBODY) -> ScenarioResult:
    """Return a scenario that this workflow has no place for."""
    return ScenarioResult(name, "", expected, "not applicable", reason)


def _without_a_deed(change: Change, operation: Operation, name: str) -> ScenarioResult:
    if operation is Operation.INSERT:
        return not_applicable(name, "`when` compares with `old`, which an insert does not have", expected=SOMEBODY)
    reason = "no row was found that an update could bring into the state"
    if Operation.INSERT in change.pairs.operations:
        return not_applicable(name, reason, expected=SOMEBODY)
    return ScenarioResult(name, "", SOMEBODY, "inconclusive", reason)


def _edge(change: Change, world: World, deed: Deed, followed: Followed) -> Iterator[ScenarioResult]:
    """Yield that later updates which do not bring the row into the state anew tell nobody again."""
    name = "a later update that changes nothing of it"
    if Operation.UPDATE not in change.pairs.operations:
        return
    if not (change.trigger.becomes or change.trigger.columns):
        yield not_applicable(name, "the trigger asks for every update for which `when` holds")
        return
    row = change.actor.after
    later = updated((), row, change.pairs.unrelated(row))
    yield not_told(name, f"{deed.words}; then {later.words}", _more(change, world, later, len(followed.sent)))
    stays = change.pairs.staying(row) if change.trigger.becomes and not change.trigger.columns else {}
    if stays:
        later = updated((), row, stays)
        more = _more(change, world, later, len(world.sent()))
        yield not_told("a later update that stays in the state", f"{deed.words}; then {later.words}", more)


def _more(change: Change, world: World, later: Deed, known: int) -> list[Sent]:
    """Do something more and return what was sent since; `known` messages were there before."""
    world.write(later.sql)
    return change.play.run_out(world)[known:]
