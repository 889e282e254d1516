"""Each wait, just before and when it is over."""

from collections.abc import Iterator
from datetime import datetime

from runtime.rehearsal.play import SECOND, Followed, Play, Wait
from runtime.rehearsal.report import ScenarioResult, messages


def wait_results(play: Play, followed: Followed) -> Iterator[ScenarioResult]:
    """Yield two scenarios for each wait: a second before it is over, and then."""
    reached = {wait.step: wait for wait in followed.waits}
    for step in play.waits:
        wait = reached.get(step.name)
        if wait is None:
            for when in ("just before", "over"):
                yield ScenarioResult(
                    f"wait {step.name}, {when}", "", "it waits", "not applicable", "no run came to wait here"
                )
        else:
            yield _just_before(wait)
            yield _over(wait, play.owed(wait, step))


def _just_before(wait: Wait) -> ScenarioResult:
    done = f"advance to {_said(wait.due - SECOND)}"
    name, expected = f"wait {wait.step}, just before", "nobody is told yet"
    if wait.too_early:
        return ScenarioResult(name, done, expected, "failed", "a message was sent", messages(wait.too_early))
    return ScenarioResult(name, done, expected, "passed")


def _over(wait: Wait, owed: datetime) -> ScenarioResult:
    done = f"advance to {_said(wait.due)}"
    name, expected = f"wait {wait.step}, over", "the run goes on"
    if owed != wait.due:
        reason = f"it was to end at {_said(owed)} and ends at {_said(wait.due)}"
        return ScenarioResult(name, done, expected, "failed", reason, messages(wait.sent))
    if not wait.over:
        return ScenarioResult(name, done, expected, "failed", "the run still waits", messages(wait.sent))
    return ScenarioResult(name, done, expected, "passed", got=messages(wait.sent))


def _said(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M:%S}Z"
