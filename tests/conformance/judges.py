"""The judges: the protocol's conformance suite and the inspector, run by a Node of their own in this folder."""

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.tool_clients import free_port

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
NODE = HERE / "node_modules" / ".bin" / "node"
SUITE = HERE / "node_modules" / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"
INSPECTOR = HERE / "node_modules" / ".bin" / "mcp-inspector"


@contextmanager
def serving(profile: str, *arguments: str) -> Iterator[str]:
    """Yield the address of a server process: the fixtures, or the product for a home."""
    port = free_port()
    command = [sys.executable, "-m", "tests.conformance.serve", profile, str(port), *arguments]
    with subprocess.Popen(command, cwd=ROOT) as process:
        try:
            url = f"http://127.0.0.1:{port}/mcp"
            _wait(url, process)
            yield url
        finally:
            process.terminate()


def conformance(url: str, revision: str, results: Path, *, baseline: Path | None = None) -> str:
    """Run what a revision of the protocol requires; return the report, or raise with it when anything failed.

    With a baseline, exactly what it lists must fail.
    """
    expected = ["--expected-failures", str(baseline)] if baseline else []
    return _judged([str(SUITE), "server", "--url", url, "--requirements", revision, "-o", str(results), *expected])


def inspect(target: Sequence[str], *options: str, era: str) -> str:
    """Run the inspector on an address or a command; return what it printed, or raise with it."""
    return _judged([str(INSPECTOR), "--cli", *target, "--protocol-era", era, "--format", "json", *options])


def _judged(arguments: list[str]) -> str:
    done = subprocess.run([str(NODE), *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    said = f"{done.stdout}\n{done.stderr}".strip()
    assert done.returncode == 0, f"exit {done.returncode}\n{said[-6000:]}"
    return said


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        try:
            httpx.get(url, timeout=1)
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(f"The server of {url} did not come up (exit {process.poll()}).")
