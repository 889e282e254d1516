"""What is wrong, or may be, and what to do about it: a project's figures as sentences, the worst first."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from runtime.console.figures import Figures
from runtime.engine.alarms import Alarm

_NEXT = {
    "held": "Decide which copy is the real one, then run `tidings release` there.",
    "no_leader": "Start `tidings up`, or `tidings dispatch`.",
    "leader_stuck": "End that process; another one takes over within seconds.",
    "outbox_stuck": "Look at the dispatcher's log, then run `tidings doctor`.",
    "timers_late": "Look at the dispatcher's log, then run `tidings doctor`.",
    "workers_absent": "Start `tidings up`, or `tidings worker`.",
    "work_late": "Start more workers: `tidings worker`, on any machine.",
    "slot_late": "Look at the dispatcher's log.",
    "slot_missed": "If its messages are still wanted, send them by hand: a slot that came too late is not made up for.",
    "canary_late": "Run `tidings doctor`: changes may not be carried out.",
    "silent": "See whether the application still writes: `tidings why --workflow NAME` tells what came last.",
}
_PUBLIC = {
    "held": "everything is held until a person decides",
    "no_leader": "no dispatcher leads",
    "leader_stuck": "the dispatcher does not move",
    "outbox_stuck": "captured changes wait",
    "timers_late": "waits that are over are not ended",
    "workers_absent": "no worker works",
    "slot_late": "a schedule was not served",
    "canary_late": "the canary does not come through",
    "silent": "a workflow is silent",
}
_MISSED = "captured changes were missed, or would be"
_RECONCILE = "`tidings reconcile` says what can be brought back. Once you have seen it, say so: `tidings acknowledge`."
_BACKLOG = "What waits is taken up as soon as one runs; `tidings doctor` says what keeps it."
_BLIND = "Run `tidings doctor`; publishing its workflows again puts the hook right."
_PAUSED = "Nothing, if it is meant; what waits goes on after `tidings resume`."
_BRAKED = "Look at what waits: are so many people meant? `tidings brake` changes how many may be told within an hour."
_PROVIDER = "Nothing: it goes on by itself. If it is a quota, raise it there."
_DEAD = "`tidings runs --state failed` lists the runs, `tidings why --workflow NAME` what failed before there was one."
_UNCERTAIN = "Look them up at the provider by recipient and time. They are never sent again by themselves."
_FAILED = "`tidings why ADDRESS` tells why; where an address is wrong, put it right in your table."
_DOUBLED = "Look them up at the provider, and tell Tidings' makers: it should never happen."
_HELD = "They go out by themselves when that is over: a quota, the mode, or settings for a provider."


@dataclass(frozen=True)
class Concern:
    """Something to know about."""

    level: Literal["red", "yellow"]
    code: str
    what: str
    """A sentence; it may name workflows, tables and columns."""
    next: str
    """What to do."""
    public: str = ""
    """The same without a word of the user's, for `/healthz`; empty: it does not make that red."""


def concerns(figures: Figures) -> tuple[Concern, ...]:
    """Return everything that is wrong or may be, red before yellow."""
    return tuple(sorted(_concerns(figures), key=lambda concern: concern.level))


def _concerns(figures: Figures) -> Iterator[Concern]:
    yield from map(_alarm, figures.alarms)
    yield from map(_captured, figures.capture.reasons)
    yield from _outcomes(figures)
    if figures.dead_letters:
        what = f"{figures.dead_letters:,} change(s) or run(s) could not be carried out; they are kept as dead letters."
        yield Concern("yellow", "dead_letters", what, _DEAD)
    for pause in figures.pauses:
        until = f"{pause.until:%Y-%m-%d %H:%M:%S} UTC ({pause.reason})"
        what = f"{pause.provider} is given nothing until {until}: {pause.error}"
        yield Concern("yellow", "provider_pause", what, _PROVIDER)
    for stop in figures.paused:
        if stop.kind == "burst":
            yield Concern("red", "braked", stop.line(), _BRAKED, "the burst brake stopped a workflow")
        else:
            yield Concern("yellow", "paused", stop.line(), _PAUSED)
    held = {group.reason: group.number for group in figures.open_messages if group.state == "held"}
    if held:
        yield Concern("yellow", "messages_held", f"{sum(held.values()):,} message(s) wait: {_counted(held)}.", _HELD)


def _outcomes(figures: Figures) -> Iterator[Concern]:
    """Yield what became of messages within the day that nobody wanted."""
    doubled, uncertain, failed = (figures.happened(fact)[1] for fact in ("doubled", "uncertain", "failed"))
    if doubled:
        why = _counted(figures.reasons("doubled"))
        what = f"{doubled:,} message(s) may have reached people twice since yesterday ({why})."
        yield Concern("red", "doubled", what, _DOUBLED, "messages may have been sent twice")
    if uncertain:
        what = f"{uncertain:,} message(s) of the last day may have arrived or not: nobody can know."
        yield Concern("yellow", "uncertain", what, _UNCERTAIN)
    if failed:
        what = f"{failed:,} message(s) failed within the last day: {_counted(figures.reasons('failed'))}."
        yield Concern("yellow", "failed", what, _FAILED)


def _captured(reason: str) -> Concern:
    """Return why capture is red: something was missed, too much waits, or a hook can't see."""
    if "were missed, not even" in reason or "known by key only. Last:" in reason:
        return Concern("red", "missed", reason, _RECONCILE, _MISSED)
    if "captured change" in reason:
        return Concern("red", "backlog", reason, _BACKLOG, _PUBLIC["outbox_stuck"])
    return Concern("red", "blind", reason, _BLIND, _MISSED)


def _alarm(alarm: Alarm) -> Concern:
    level: Literal["red", "yellow"] = "red" if alarm.severity == "red" else "yellow"
    after = _NEXT.get(alarm.code, "Run `tidings doctor`.")
    public = _PUBLIC.get(alarm.code, "something has stopped") if level == "red" else ""
    return Concern(level, alarm.code, alarm.sentence, after, public)


def _counted(numbers: Mapping[str, int]) -> str:
    return ", ".join(f"{number:,} {name.replace('_', ' ')}" for name, number in numbers.items())
