"""The evaluation checks itself: every gold spec passes, every wrong spec is caught by what it does."""

import pytest

from evals.case import Case, load_cases
from evals.grade import grade, schema_database
from evals.specs import gold, wrong
from runtime.postgres.server import PostgresServer
from runtime.spec.model import Workflow

CASES = load_cases()
WRONG = [(case, fault, workflow) for case in CASES for fault, workflow in wrong(case.case)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.case)
def test_the_gold_spec_passes(server: PostgresServer, case: Case) -> None:
    with schema_database(server, case.schema_name) as url:
        found = grade(server, url, case, gold(case.case))
    assert [verdict for verdict in found.verdicts if not verdict.passed] == []
    assert len(found.verdicts) == len(case.scenarios)


@pytest.mark.parametrize(("case", "fault", "workflow"), WRONG, ids=lambda part: getattr(part, "case", str(part)[:30]))
def test_a_wrong_spec_is_caught(server: PostgresServer, case: Case, fault: str, workflow: Workflow) -> None:
    with schema_database(server, case.schema_name) as url:
        found = grade(server, url, case, workflow)
    assert not found.passed, fault
    assert found.verdicts[0].scenario != "publish", f"{fault}: it must fail by what it does, not by its form"


def test_every_case_has_a_wrong_spec() -> None:
    assert [case.case for case in CASES if not any(wrong(case.case))] == []
