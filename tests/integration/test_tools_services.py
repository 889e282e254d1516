import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from runtime.postgres.server import PostgresServer
from tests.tool_clients import opened, write_home


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for temporary files that Postgres' own account may enter."""
    folder = Path(tempfile.mkdtemp(dir=tmp_path))
    for parent in (folder, *folder.parents[:4]):
        if parent.is_relative_to(tmp_path.parent):
            parent.chmod(0o755)
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_the_rehearsals_server_of_a_process_that_was_killed_is_taken_away(
    tmp_path: Path, database: str, temporary: Path
) -> None:
    dead = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True, check=True
    )
    left = PostgresServer(temporary / f"tidings-rehearsal-{dead.stdout.strip()}-abc", scratch=True)
    alive = temporary / f"tidings-rehearsal-{os.getppid()}-abc"
    alive.mkdir()
    left.start()
    with opened(write_home(tmp_path, database)):
        assert not left.running()
        assert not left.home.exists()
        assert alive.exists()
    assert list(temporary.iterdir()) == [alive]
