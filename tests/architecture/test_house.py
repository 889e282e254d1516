"""The house of ARCHITECTURE.md holds: imports go one way, rooms stay small, SQL lives in SQL files."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOP = ("runtime", "tools", "agent", "evals", "cli")
ROOMS = (
    *("errors", "clock", "visible", "spec", "settings", "postgres", "ledger", "source", "templates", "capture"),
    *("publishing", "delivery", "engine", "rehearsal", "engagement", "setup", "console", "workers"),
)
"""Inside runtime, each may import those before it."""
LONGEST_FILE, LONGEST_FUNCTION = 300, 50
MAY_HIDE = {"agent", "cli", "tools"}
"""Where an import may stand inside a function: what is heavy is loaded when it is needed."""
MAY_CHOOSE = {"runtime.delivery.providers"}
"""The same: a process loads the libraries of the providers that it was given, half a second each, and no others."""
CATCH_ALL = {"utils", "util", "helpers", "manager", "common", "core", "base", "service", "misc"}
FILES = sorted(path for top in TOP for path in (ROOT / top).rglob("*.py"))


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def module(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """Yield what of ours a file imports, and at which column: 0 is the top of the file."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in TOP:
            yield node.module, node.col_offset
        elif isinstance(node, ast.Import):
            yield from ((alias.name, node.col_offset) for alias in node.names if alias.name.split(".")[0] in TOP)


def names(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", FILES, ids=names)
def test_imports_go_down_the_house(path: Path) -> None:
    own = module(path).split(".")
    for imported, column in imports(path):
        other = imported.split(".")
        assert TOP.index(other[0]) <= TOP.index(own[0]), f"{module(path)} imports {imported}, which is above it"
        if own[0] == other[0] == "runtime" and own[1:2] != other[1:2] and len(own) > 1:
            assert ROOMS.index(other[1]) < ROOMS.index(own[1]), f"{module(path)} imports {imported}, which is below it"
        may_hide = own[0] in MAY_HIDE or module(path) in MAY_CHOOSE
        assert column == 0 or may_hide, f"{module(path)} hides the import of {imported} in a function"


def test_every_room_has_its_place_in_the_order() -> None:
    rooms = {
        path.stem for path in (ROOT / "runtime").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert rooms - {"__init__"} == set(ROOMS)


def test_no_two_modules_import_each_other() -> None:
    graph = {module(path): {name for name, _ in imports(path)} for path in FILES}
    done: set[str] = set()

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, f"a cycle: {' → '.join((*way[way.index(name) :], name))}"
        if name in done or name not in graph:
            return
        for other in graph[name]:
            visit(other, (*way, name))
        done.add(name)

    for name in graph:
        visit(name, ())


@pytest.mark.parametrize("path", FILES, ids=names)
def test_files_and_functions_stay_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST_FILE
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= LONGEST_FUNCTION, f"{node.name} has {length} lines"


@pytest.mark.parametrize("path", FILES, ids=names)
def test_names_say_what_is_in_a_file(path: Path) -> None:
    assert not {path.stem, path.parent.name} & CATCH_ALL


@pytest.mark.parametrize("path", FILES, ids=names)
def test_only_the_settings_read_the_environment(path: Path) -> None:
    if module(path) == "runtime.settings":
        return
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os":
            assert node.attr not in {"environ", "getenv"}, f"line {node.lineno}"


@pytest.mark.parametrize("path", FILES, ids=names)
def test_nobody_catches_everything_but_a_process_at_its_top(path: Path) -> None:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ExceptHandler) and isinstance(node.type, ast.Name) and node.type.id == "Exception":
            line = path.read_text(encoding="utf-8").splitlines()[node.lineno - 1]
            assert "the process's top" in line, f"line {node.lineno}: say why, or name the error"


def test_the_models_are_loaded_only_when_they_are_needed() -> None:
    for path in FILES:
        for node in tree(path).body:
            heavy = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            heavy += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not [name for name in heavy if name.split(".")[0] in {"anthropic", "langgraph"}], module(path)
