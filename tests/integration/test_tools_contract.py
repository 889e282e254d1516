"""What every tool promises, whatever it does: its definition, and how it answers."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests.tool_clients import ROOT, WAYS, Tools, connected, write_home
from tools.language import guide
from tools.scopes import ANALYTICS, NEEDS, READ, SCOPES
from tools.server import INSTRUCTIONS

SNAPSHOTS = ROOT / "tests" / "tool_definitions"
READ_BY_MODELS = 9_500
"""Bytes of all names, descriptions and arguments: what a model reads before the first word of its person."""
READ_BY_CLIENTS = 32_000
"""The same with the schemas of the answers, which clients check and do not show."""


@pytest.fixture
def home(tmp_path: Path, database: str) -> Path:
    return write_home(tmp_path, database)


@pytest.fixture
def tools(home: Path) -> Iterator[Tools]:
    with connected("memory", home) as tools:
        yield tools


def _definitions(tools: Tools) -> dict[str, dict[str, Any]]:
    return {tool.name: tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in tools.list()}


@pytest.mark.parametrize("way", WAYS)
def test_the_definitions_are_what_was_agreed_over_every_way(way: str, home: Path) -> None:
    """To change them on purpose: run this file as a program, and look at the difference."""
    with connected(way, home) as tools:
        found = _definitions(tools)
    assert list(found) == list(NEEDS)
    assert found == {name: json.loads((SNAPSHOTS / f"{name}.json").read_text(encoding="utf-8")) for name in NEEDS}
    assert {file.stem for file in SNAPSHOTS.iterdir()} == set(NEEDS)


def test_each_definition_is_complete_and_all_together_are_small(tools: Tools) -> None:
    found = _definitions(tools)
    for name, tool in found.items():
        assert tool["title"], name
        assert "Next: " in tool["description"], name
        hints = {"readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"}
        assert hints <= tool["annotations"].keys(), name
        assert tool["inputSchema"]["additionalProperties"] is False
        for argument, schema in tool["inputSchema"]["properties"].items():
            assert schema.get("description"), f"{name}.{argument}"
        assert tool["outputSchema"]["type"] == "object"
    shown = [{key: tool[key] for key in ("name", "description", "inputSchema")} for tool in found.values()]
    assert len(json.dumps(shown)) < READ_BY_MODELS
    assert len(json.dumps(found)) < READ_BY_CLIENTS


def test_only_the_tools_that_change_nothing_say_so(tools: Tools) -> None:
    harmless = {name for name, tool in _definitions(tools).items() if tool["annotations"]["readOnlyHint"]}
    assert harmless == {name for name, scope in NEEDS.items() if scope in {READ, ANALYTICS}}
    assert _definitions(tools)["confirm_publish"]["annotations"]["destructiveHint"] is True


def test_a_client_with_fewer_scopes_sees_fewer_tools(home: Path) -> None:
    with connected("http", home, scopes=(READ,)) as tools:
        assert [tool.name for tool in tools.list()] == [name for name, scope in NEEDS.items() if scope == READ]
        assert "needs the scope 'workflows:publish'" in tools.refused("confirm_publish", workflow="a", digest="0" * 64)
        assert tools.call("get_status").data["project"] == "test"
    assert len(SCOPES) == 4


def test_the_server_says_what_it_is_for_and_gives_the_language_in_two_ways(tools: Tools) -> None:
    assert tools.client.instructions == INSTRUCTIONS
    assert tools.read("tidings://language") == guide() == tools.call("get_status", guide=True).data["guide"]
    assert json.loads(tools.read("tidings://spec-schema"))["$id"] == "urn:tidings:schema:workflow"
    assert "guide" not in tools.call("get_status").data


@pytest.mark.parametrize("name", NEEDS)
def test_a_misspelt_argument_is_an_error_that_names_the_right_ones(tools: Tools, name: str) -> None:
    assert f"{name}: unknown argument(s) nonsense. Accepted: " in tools.refused(name, nonsense=1)


@pytest.mark.parametrize(
    ("modules", "absent"),
    [("tools.server, tools.http", {"anthropic", "langgraph", "agent", "cli"}), ("cli.mcp", {"anthropic", "langgraph"})],
)
def test_the_tools_run_without_a_model_and_without_a_graph(modules: str, absent: set[str]) -> None:
    program = f"import sys, {modules}; print(sorted({{name.split('.')[0] for name in sys.modules}} & {absent!r}))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


if __name__ == "__main__":
    nowhere = "postgresql://nobody@127.0.0.1:1/none"  # no tool is called, so no database is needed
    with TemporaryDirectory() as folder, connected("memory", write_home(Path(folder), nowhere)) as writing:
        for name, definition in _definitions(writing).items():
            written = json.dumps(definition, indent=2, ensure_ascii=False)
            (SNAPSHOTS / f"{name}.json").write_text(f"{written}\n", encoding="utf-8")
