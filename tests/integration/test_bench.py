"""The benchmark runs and prints well-formed rows. What they say is judged by no test: here others use the machine."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.postgres.binaries import find_binaries

ROOT = Path(__file__).parents[2]


def rows(*arguments: str) -> list[dict[str, object]]:
    command = [sys.executable, "-m", "bench", "--tiny", "--no-peers", "--json", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_an_idle_engine_gives_two_rows_with_everything_a_row_must_have() -> None:
    found = rows("idle")
    assert len(found) == 2
    for row in found:
        assert {"name", "ours", "peers", "ratio", "goal", "holds"} <= set(row)
    assert [row["peers"] for row in found] == [{}, {}]


def test_captured_statements_are_compared_with_bare_ones() -> None:
    if not (find_binaries() / "pgbench").exists():
        pytest.skip("this Postgres came without pgbench")
    found = {str(row["name"]): row["ours"] for row in rows("bulk")}
    assert set(found) == {
        f"kept of 1,000-row {verb}s, {what} match" for verb in ("INSERT", "UPDATE") for what in ("all", "none")
    }
    assert all(isinstance(share, int | float) and share > 0 for share in found.values())


def test_the_command_says_what_to_choose_from() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cli", "bench", "nothing"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "'capture'" in done.stderr
