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
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON, PIP = BIN / "python", BIN / ("pip.exe" if os.name == "nt" else "pip")


def main() -> None:
    """Create the environment and install, with a line that counts on a terminal."""
    if sys.version_info < (3, 11):  # noqa: UP036  # the point is to say so
        sys.exit(f"Tidings needs Python 3.11 or newer; this is {sys.version.split()[0]}. Try: make PYTHON=python3.12 …")
    wanted = hashlib.sha256(LOCK.read_bytes() + (ROOT / "pyproject.toml").read_bytes()).hexdigest()
    if STAMP.exists() and STAMP.read_text() == wanted:
        return
    print("Bringing .venv up to date" if PIP.exists() else "Setting up .venv (once, a minute or two)", flush=True)
    _create()
    pip = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "--cache-dir", str(VENV / "cache"), "install"]
    total = sum(line[:1].isalnum() for line in LOCK.read_text().splitlines())
    _run([*pip, "--require-hashes", "-r", str(LOCK)], total)
    _run([*pip, "--no-deps", "--no-build-isolation", "-e", str(ROOT)])
    STAMP.write_text(wanted)
    print("Ready.", flush=True)


def _create() -> None:
    """Make the environment unless it is whole: it may be the one that runs this, or run something else just now."""
    if PIP.exists():
        return
    try:
        venv.create(VENV, with_pip=True, symlinks=os.name != "nt")
    except subprocess.CalledProcessError:
        sys.exit("This Python has no ensurepip. Install it first (on Debian and Ubuntu: apt install python3-venv).")


def _run(command: list[str], total: int = 0) -> None:
    """Run pip quietly: a count while it works, if there is something to count; everything it said when it fails."""
    said: list[str] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        looked_at = 0
        for line in process.stdout:
            said.append(line)
            if not total:
                continue
            if line.startswith(("Collecting", "Processing", "Requirement already", "Ignoring")):
                looked_at += 1
                _show(f"{looked_at} of {total} packages looked at", brief=looked_at % 20 == 0)
            elif line.startswith("Installing collected"):
                _show(f"installing {line.count(',') + 1} packages", brief=True)
    if sys.stdout.isatty():
        print("\r\033[K", end="", flush=True)
    if process.returncode != 0:
        sys.exit("".join(said[-40:]) + "The packages could not be installed; see above.")


def _show(text: str, *, brief: bool) -> None:
    """Tell how far it is: on a terminal in one line that changes, elsewhere only what is worth a line of its own."""
    if sys.stdout.isatty():
        print(f"\r\033[K  {text}", end="", flush=True)
    elif brief:
        print(f"  {text}", flush=True)


if __name__ == "__main__":
    main()
