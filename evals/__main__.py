"""`python -m evals`: grades the gold specs and shows that each wrong spec is caught. No model is involved."""

import sys
import tempfile
import time
from pathlib import Path

from evals.case import Case, load_cases
from evals.grade import Grade, grade, open_stage
from evals.specs import gold, wrong
from runtime.postgres.folder import memory_folder
from runtime.postgres.server import PostgresServer
from runtime.rehearsal.world import World


def main() -> int:
    """Print a line for each spec; return 1 if a gold spec fails or a wrong one passes."""
    cases = load_cases()
    started, mistakes = time.monotonic(), 0
    with tempfile.TemporaryDirectory(prefix="tidings-evals-", dir=memory_folder()) as folder:
        server = PostgresServer(Path(folder) / "postgres", scratch=True)
        server.start()
        try:
            for schema in dict.fromkeys(case.schema_name for case in cases):
                with open_stage(server, schema) as stage:
                    mistakes += sum(_case(stage, case) for case in cases if case.schema_name == schema)
        finally:
            server.stop()
    seconds = time.monotonic() - started
    sys.stdout.write(f"{len(cases)} cases in {seconds:.0f} s, {mistakes or 'no'} mistake(s)\n")
    return 1 if mistakes else 0


def _case(stage: World, case: Case) -> int:
    mistakes = _tell(f"{case.case} gold", grade(stage, case, gold(case.case)), should_pass=True)
    for fault, workflow in wrong(case.case):
        mistakes += _tell(f"{case.case} wrong: {fault}", grade(stage, case, workflow), should_pass=False)
    return mistakes


def _tell(what: str, found: Grade, *, should_pass: bool) -> int:
    """Print how a spec did; what fails, or should have failed, is told in full."""
    right = found.passed == should_pass
    failed = next((verdict for verdict in found.verdicts if not verdict.passed), None)
    said = f"{failed.scenario}: {failed.why}" if failed else f"{len(found.verdicts)} scenario(s) passed"
    sys.stdout.write(f"{'✓' if right else '✗'} {what}: {said}\n")
    sys.stdout.flush()
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
