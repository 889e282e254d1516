"""The evaluation checks itself: every gold spec passes, every wrong spec is caught by what it does."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from evals.case import Case, load_cases
from evals.grade import grade, open_stage
from evals.specs import gold, wrong
from runtime.postgres.server import PostgresServer
from runtime.rehearsal.world import World
from runtime.spec.model import Workflow

CASES = load_cases()
WRONG = [(case, fault, workflow) for case in CASES for fault, workflow in wrong(case.case)]


@pytest.fixture(scope="module")
def stages(server: PostgresServer) -> Iterator[dict[str, World]]:
    """A seeded world for each schema."""
    with ExitStack() as stack:
        names = {case.schema_name for case in CASES}
        yield {name: stack.enter_context(open_stage(server, name)) for name in sorted(names)}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.case)
def test_the_gold_spec_passes(stages: dict[str, World], case: Case) -> None:
    found = grade(stages[case.schema_name], case, gold(case.case))
    assert [verdict for verdict in found.verdicts if not verdict.passed] == []
    assert len(found.verdicts) == len(case.scenarios)


@pytest.mark.parametrize(
    ("case", "fault", "workflow"), WRONG, ids=[f"{case.case}-{fault.replace(' ', '-')}" for case, fault, _ in WRONG]
)
def test_a_wrong_spec_is_caught(stages: dict[str, World], case: Case, fault: str, workflow: Workflow) -> None:
    found = grade(stages[case.schema_name], case, workflow)
    assert not found.passed, fault
    assert found.verdicts[0].scenario != "publish", f"{fault}: it must fail by what it does, not by its form"


def test_every_case_has_a_wrong_spec() -> None:
    assert [case.case for case in CASES if not any(wrong(case.case))] == []
