"""Test reports as JUnit XML, which every CI reads."""

from pathlib import Path
from xml.etree import ElementTree as ET

from runtime.rehearsal.report import Report

_ELEMENTS = {"failed": "failure", "inconclusive": "failure", "not applicable": "skipped"}


def write_junit(report: Report, path: Path) -> None:
    """Write a report as one test suite with a test case for each scenario; what tells nothing counts as failed."""
    statuses = [scenario.status for scenario in report.scenarios]
    failures = sum(status in {"failed", "inconclusive"} for status in statuses)
    suite = ET.Element(
        "testsuite",
        name=f"tidings.{report.workflow}",
        tests=str(len(statuses)),
        failures=str(failures),
        errors="0",
        skipped=str(statuses.count("not applicable")),
        time=f"{report.seconds:.2f}",
    )
    properties = ET.SubElement(suite, "properties")
    ET.SubElement(properties, "property", name="digest", value=report.digest)
    for scenario in report.scenarios:
        case = ET.SubElement(suite, "testcase", classname=f"tidings.{report.workflow}", name=scenario.name)
        if scenario.status in _ELEMENTS:
            said = ET.SubElement(case, _ELEMENTS[scenario.status], message=_valid(scenario.reason))
            said.text = _valid(f"{scenario.done}\nexpected: {scenario.expected}")
    path.write_bytes(ET.tostring(suite, encoding="utf-8", xml_declaration=True))


def _valid(text: str) -> str:
    """Return the text without characters that XML can't hold."""
    return "".join(character for character in text if character >= " " or character in "\t\n\r")
