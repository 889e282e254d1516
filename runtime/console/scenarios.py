"""A stored test report, ready to be shown; an older or foreign one shows what it has."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from runtime.publishing.reports import StoredReport

_SHOWN = 4
_MARKS = {"passed": "✓", "failed": "✗", "inconclusive": "?", "not applicable": "·"}


@dataclass(frozen=True)
class Scenario:
    """One scenario, as a row of a table."""

    mark: str
    status: str
    name: str
    done: str
    expected: str
    happened: tuple[str, ...]
    """Who was told what, a line each."""
    reason: str


@dataclass(frozen=True)
class TestReport:
    """A rehearsal's report on one digest."""

    passed: bool
    at: datetime
    summary: str
    scenarios: tuple[Scenario, ...]
    """Those that apply."""
    skipped: tuple[Scenario, ...]
    not_cloned: tuple[str, ...]


def read_report(stored: StoredReport | None) -> TestReport | None:
    """Return a report for the page; None if there is none."""
    if stored is None:
        return None
    found = [_scenario(one) for one in _list(stored.report, "scenarios") if isinstance(one, Mapping)]
    return TestReport(
        passed=stored.passed,
        at=stored.at,
        summary=_text(stored.report, "summary"),
        scenarios=tuple(one for one in found if one.status != "not applicable"),
        skipped=tuple(one for one in found if one.status == "not applicable"),
        not_cloned=tuple(map(str, _list(stored.report, "not_cloned"))),
    )


def _scenario(one: Mapping[str, Any]) -> Scenario:
    status = _text(one, "status")
    return Scenario(
        mark=_MARKS.get(status, "?"),
        status=status,
        name=_text(one, "name"),
        done=_text(one, "done"),
        expected=_text(one, "expected"),
        happened=_happened(_list(one, "got")),
        reason=_text(one, "reason"),
    )


def _happened(messages: Sequence[Any]) -> tuple[str, ...]:
    told = [one for one in messages if isinstance(one, Mapping)]
    lines = [f"{_text(one, 'channel')} to {_text(one, 'address')}: {_text(one, 'subject')}" for one in told[:_SHOWN]]
    return (*lines, f"and {len(told) - _SHOWN} more") if len(told) > _SHOWN else tuple(lines)


def _text(data: Mapping[str, Any], name: str) -> str:
    value = data.get(name)
    return "" if value is None else str(value)


def _list(data: Mapping[str, Any], name: str) -> list[Any]:
    value = data.get(name)
    return value if isinstance(value, list) else []
