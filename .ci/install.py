"""Makes .venv from requirements.lock, inside this clone and nowhere else; does nothing when it is up to date."""

import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
LOCK = ROOT / "requirements.lock"
STAMP = VENV / "installed"


def main() -> None:
    """Create the environment and install, with a line that counts on a terminal."""
    if sys.version_info < (3, 11):  # noqa: UP036  # the point is to say so
        sys.exit(f"Tidings needs Python 3.11 or newer; this is {sys.version.split()[0]}. Try: make PYTHON=python3.12 …")
    wanted = hashlib.sha256(LOCK.read_bytes() + (ROOT / "pyproject.toml").read_bytes()).hexdigest()
    if STAMP.exists() and STAMP.read_text() == wanted:
        return
    print("Setting up .venv (once, about a minute)", flush=True)
    try:
        venv.create(VENV, with_pip=True, upgrade_deps=False)
    except subprocess.CalledProcessError:
        sys.exit("This Python has no ensurepip. Install it first (on Debian and Ubuntu: apt install python3-venv).")
    python = VENV / ("Scripts" if os.name == "nt" else "bin") / "python"
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--cache-dir", str(VENV / "cache"), "install"]
    total = sum(line[:1].isalnum() for line in LOCK.read_text().splitlines())
    _run([*pip, "--require-hashes", "-r", str(LOCK)], total)
    _run([*pip, "--no-deps", "--no-build-isolation", "-e", str(ROOT)], 0)
    STAMP.write_text(wanted)
    print("Ready.", flush=True)


def _run(command: list[str], total: int) -> None:
    """Run pip quietly: a count while it works, everything it said when it fails."""
    said: list[str] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        found = 0
        for line in process.stdout:
            said.append(line)
            found += line.startswith("Collecting")
            _show(line, found, total)
    if sys.stdout.isatty():
        print("\r\033[K", end="", flush=True)
    if process.returncode != 0:
        sys.exit("".join(said[-40:]) + "The packages could not be installed; see above.")


def _show(line: str, found: int, total: int) -> None:
    last = line.startswith("Installing collected")
    if sys.stdout.isatty():
        text = "  installing" if last else f"  {found} of {total} packages found"
        print(f"\r\033[K{text}", end="", flush=True)
    elif last or (line.startswith("Collecting") and found % 20 == 0):
        print("  installing" if last else f"  {found} of {total} packages found", flush=True)


if __name__ == "__main__":
    main()
