"""What the documents say is there, and what is there is said."""

import re
from pathlib import Path

from cli.main import COMMANDS
from runtime.settings import VARIABLES

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def test_every_room_is_in_the_architecture_and_nothing_else_is() -> None:
    rooms = {p.name for p in (ROOT / "runtime").iterdir() if (p / "__init__.py").exists()}
    assert set(re.findall(r"^\| `runtime/(\w+)/`", ARCHITECTURE, re.MULTILINE)) == rooms


def test_every_file_that_the_architecture_names_exists() -> None:
    named = set(re.findall(r"`((?:runtime|tools|agent|evals|cli|tests)/[\w/]+\.\w+)`", ARCHITECTURE))
    assert named
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_every_setting_is_documented() -> None:
    told = set(re.findall(r"`([A-Z][A-Z_]+)`", OPERATIONS))
    assert {variable.key for variable in VARIABLES.values()} | {"TIDINGS_HOME"} == told


def test_every_command_that_is_shown_exists() -> None:
    told = re.findall(r"(?:^\$ |`|bin/)tidings (\w+)", README + OPERATIONS, re.MULTILINE)
    assert told
    assert sorted(set(told) - set(COMMANDS)) == []
    targets = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
    assert set(re.findall(r"^\$ make ([a-z-]+)", README, re.MULTILINE)) <= targets


def test_every_link_between_documents_leads_somewhere() -> None:
    for document in [ROOT / "README.md", ROOT / "ARCHITECTURE.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text(encoding="utf-8")):
            assert (document.parent / target).exists(), f"{document.name} → {target}"


def test_documents_name_no_machine_and_no_registry() -> None:
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("examples/*")]:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"/work/|/root/|/opt/pypi|pypi\.org|npmjs\.|debian\.org", text), path.name
