"""Specs and the problems they have: pairs in the files of tests/spec_problems."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from runtime.spec.schema import Catalog
from runtime.spec.validate import validate
from runtime.spec.yaml import load_spec, parse_spec
from tests.spec_catalog import shop, table

ROOT = Path(__file__).parents[2]
CASES: list[dict[str, Any]] = [
    case
    for file in sorted((ROOT / "tests" / "spec_problems").glob("*.yaml"))
    for case in yaml.safe_load(file.read_text(encoding="utf-8"))
]
RIGHT: dict[str, Any] = {
    "workflow": "test",
    "about": "Tells the customer when the order ships.",
    "trigger": {"change": "shop.orders", "becomes": "status = 'shipped'"},
    "steps": [
        {
            "send": "tell",
            "to": "SELECT c.id AS key, c.email FROM shop.customers c WHERE c.id = new.customer_id",
            "channels": ["email"],
            "texts": [{"subject": "Shipped", "body": "It left."}],
        }
    ],
}


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    """The shop, with a view and a table that has no key."""
    view = table("open_orders", "id int, status text", key="").model_copy(update={"kind": "view"})
    return shop(view, table("log", "id int, line text", key=""))


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_a_spec_has_exactly_these_problems(catalog: Catalog, case: dict[str, Any]) -> None:
    problems = validate(parse_spec({**RIGHT, **case["spec"]}), catalog)
    assert sorted(case["expect"]) == sorted(f"{p.path} {p.code}{' (w)' * p.warning}" for p in problems)
    assert case.get("says", "") in "\n".join(map(str, problems))
    for problem in problems:
        assert problem.message.endswith(".")
        assert problem.fix.endswith((".", "?")) or "becomes:" in problem.fix


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_example_is_valid_without_a_warning(path: Path) -> None:
    assert validate(load_spec(path.read_text(encoding="utf-8")), shop()) == []


def test_problems_come_in_the_order_of_the_spec(catalog: Catalog) -> None:
    spec = {**RIGHT, "while": "live.x = 1", "if": "y()", "trigger": {"change": "shop.orders", "becomes": "z = 1"}}
    spec["steps"] = [{"wait": "w"}, *RIGHT["steps"], {"wait": "v", "for": "never"}]
    paths = [problem.path for problem in validate(parse_spec(spec), catalog)]
    assert paths == ["/trigger/becomes", "/if", "/while", "/steps/0", "/steps/2", "/steps/2/for"]


def test_an_empty_catalog_is_told_without_a_crash() -> None:
    problems = validate(parse_spec(RIGHT), Catalog(tables=()))
    assert {"unknown-table"} == {problem.code for problem in problems}


def test_sql_as_deep_as_it_gets_is_a_problem_and_no_crash(catalog: Catalog) -> None:
    for deep in (
        "(" * 3000 + "1=1" + ")" * 3000,
        "NOT " * 3900 + "true",
        " AND ".join(["true"] * 1500),
        "-" * 9000 + "1",
    ):
        codes = {problem.code for problem in validate(parse_spec({**RIGHT, "if": deep}), catalog)}
        assert codes <= {"too-deep", "sql-syntax"}
