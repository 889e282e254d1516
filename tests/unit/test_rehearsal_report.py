from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from cli.junit import write_junit
from runtime.rehearsal.report import Message, Report, ScenarioResult, Status, verdict

TOLD = Message("email", "ada1@example.test", "2026-06-01T12:00:00+00:00", "Hello")


def _result(status: Status, name: str = "a case", reason: str = "") -> ScenarioResult:
    return ScenarioResult(name, "UPDATE it", "somebody is told", status, reason, (TOLD,) if status == "passed" else ())


def _report(*results: ScenarioResult) -> Report:
    passed, summary = verdict(results, nobody="")
    return Report("letters", "d" * 64, passed, summary, results, ("shop.orders: trigger touched",), seconds=1.5)


def test_a_report_passes_when_every_scenario_passed_or_does_not_apply() -> None:
    assert verdict([_result("passed"), _result("not applicable")], nobody="") == (
        True,
        "1 scenario passed, 1 did not apply",
    )
    assert verdict([_result("passed"), _result("passed")], nobody="") == (True, "2 scenarios passed")


@pytest.mark.parametrize("status", ["failed", "inconclusive"])
def test_what_failed_or_tells_nothing_is_named(status: Status) -> None:
    results = [_result("passed"), _result(status, "a rollback", "1 message sent")]
    assert verdict(results, nobody="") == (False, "1 of 2 scenarios went wrong: a rollback: 1 message sent")


def test_a_report_never_passes_when_nobody_would_be_told() -> None:
    assert verdict([_result("passed")], nobody="`to` returns nobody") == (
        False,
        "nobody would be told: `to` returns nobody",
    )


def test_the_terminal_shows_what_was_done_who_was_told_and_what_was_expected_of_a_failure() -> None:
    lines = _report(_result("passed"), _result("failed", "a rollback", "1 message sent")).lines()
    assert lines == [
        "✓ a case",
        "    UPDATE it",
        "    2026-06-01T12:00Z email to ada1@example.test: Hello",
        "✗ a rollback",
        "    UPDATE it",
        "    1 message sent",
        "    expected: somebody is told",
        "",
        "Not part of the rehearsal:",
        "  shop.orders: trigger touched",
        "",
        "✗ letters: 1 of 2 scenarios went wrong: a rollback: 1 message sent",
    ]


def test_junit_counts_failures_and_skipped_cases_and_survives_odd_characters(tmp_path: Path) -> None:
    path = tmp_path / "report.xml"
    report = _report(
        _result("passed"), _result("failed", "b", "<\x00 & 'é'"), _result("inconclusive"), _result("not applicable")
    )
    write_junit(report, path)
    suite = ET.fromstring(path.read_bytes())  # noqa: S314  # our own file
    counts = {key: suite.get(key) for key in ("name", "tests", "failures", "errors", "skipped", "time")}
    assert counts == {
        "name": "tidings.letters",
        "tests": "4",
        "failures": "2",
        "errors": "0",
        "skipped": "1",
        "time": "1.50",
    }
    cases = suite.findall("testcase")
    assert [[child.tag for child in case] for case in cases] == [[], ["failure"], ["failure"], ["skipped"]]
    assert cases[1][0].get("message") == "< & 'é'"
