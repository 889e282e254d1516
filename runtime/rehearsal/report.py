"""What a rehearsal found: scenario by scenario what was done, what was expected, who was told, and what that proves."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from runtime.rehearsal.seen import Sent

Status = Literal["passed", "failed", "inconclusive", "not applicable"]
_MARKS: dict[Status, str] = {"passed": "✓", "failed": "✗", "inconclusive": "?", "not applicable": "·"}
_SHOWN = 4


@dataclass(frozen=True)
class Message:
    """A message that was sent in a scenario."""

    channel: str
    address: str
    at: str
    """Virtual time, ISO 8601."""
    subject: str
    step: str = ""
    locale: str = ""


@dataclass(frozen=True)
class ScenarioResult:
    """One scenario."""

    name: str
    done: str
    """What was done to the tables, in words."""
    expected: str
    status: Status
    reason: str = ""
    """Why it failed, tells nothing, or does not apply."""
    got: tuple[Message, ...] = ()

    @property
    def passed(self) -> bool:
        """Return whether it went as expected."""
        return self.status == "passed"


@dataclass(frozen=True)
class Report:
    """A rehearsal of one digest."""

    workflow: str
    digest: str
    passed: bool
    summary: str
    """The verdict in one sentence."""
    scenarios: tuple[ScenarioResult, ...]
    not_cloned: tuple[str, ...] = ()
    """What acts on the user's tables and did not take part."""
    begins: str = ""
    """Virtual time at which every scenario begins."""
    seconds: float = field(default=0.0, compare=False)
    """Real time that it took."""

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON data."""
        return asdict(self)

    def lines(self) -> list[str]:
        """Return the report for a terminal, one line after the other."""
        lines = [line for scenario in self.scenarios for line in _lines(scenario)]
        if self.not_cloned:
            lines += ["", "Not part of the rehearsal:", *(f"  {what}" for what in self.not_cloned)]
        return [*lines, "", f"{'✓' if self.passed else '✗'} {self.workflow}: {self.summary}"]


def messages(sent: Iterable[Sent]) -> tuple[Message, ...]:
    """Return messages as a report keeps them."""
    return tuple(
        Message(one.channel, one.address, one.at.isoformat(), one.subject, one.step, one.locale) for one in sent
    )


def counted(number: int, noun: str) -> str:
    """Return `1 message`, `3 messages`, `no message`."""
    return f"{number or 'no'} {noun}{'' if number in {0, 1} else 's'}"


def verdict(scenarios: Iterable[ScenarioResult], *, nobody: str) -> tuple[bool, str]:
    """Return whether a rehearsal passed, and why or why not. `nobody` says why nobody was told in it, if so."""
    found = list(scenarios)
    wrong = [scenario for scenario in found if scenario.status in {"failed", "inconclusive"}]
    passed = sum(scenario.passed for scenario in found)
    if nobody:
        return False, f"nobody would be told: {nobody}"
    if wrong:
        return (
            False,
            f"{len(wrong)} of {counted(len(found), 'scenario')} went wrong: {wrong[0].name}: {wrong[0].reason}",
        )
    left = sum(scenario.status == "not applicable" for scenario in found)
    return True, f"{counted(passed, 'scenario')} passed" + (f", {left} did not apply" if left else "")


def _lines(scenario: ScenarioResult) -> list[str]:
    lines = [f"{_MARKS[scenario.status]} {scenario.name}"]
    if scenario.done:
        lines.append(f"    {scenario.done}")
    lines += [f"    {one.at[:16]}Z {one.channel} to {one.address}: {one.subject}" for one in scenario.got[:_SHOWN]]
    if len(scenario.got) > _SHOWN:
        lines.append(f"    and {len(scenario.got) - _SHOWN} more")
    if scenario.reason:
        lines.append(f"    {scenario.reason}")
    if scenario.status == "failed":
        lines.append(f"    expected: {scenario.expected}")
    return lines
