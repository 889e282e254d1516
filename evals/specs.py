"""Gold specs, one for each case, and wrong specs, each of which a scenario of its case must catch."""

from collections.abc import Iterator
from pathlib import Path

from evals.case import FOLDER
from runtime.spec.model import Workflow
from runtime.spec.yaml import load_spec


def gold(case: str) -> Workflow:
    """Return the spec that is right for a case."""
    return load_spec((FOLDER / "gold" / f"{case}.yaml").read_text(encoding="utf-8"))


def wrong(case: str) -> Iterator[tuple[str, Workflow]]:
    """Yield the wrong specs of a case with what is wrong about them."""
    for path in sorted((FOLDER / "wrong").glob(f"{case}-*.yaml")):
        yield _fault(path, case), load_spec(path.read_text(encoding="utf-8"))


def _fault(path: Path, case: str) -> str:
    return path.stem.removeprefix(f"{case}-").replace("-", " ")
