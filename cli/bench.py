"""`tidings bench`: measures Tidings beside its peers. The benchmark lives in the clone, not in the wheel."""

import subprocess
import sys
from pathlib import Path

import click

from runtime.errors import NotFound

_CLONE = Path(__file__).parents[1]


@click.command()
@click.argument("jobs", nargs=-1)
@click.option("--quick", is_flag=True, help="One short round: shows that everything runs; its numbers mean nothing.")
@click.option("--rounds", type=click.IntRange(1), help="How often each variant is measured.")
@click.option("--peers/--no-peers", default=True, help="Measure the peers too; they are installed at first.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a row.")
def bench(jobs: tuple[str, ...], *, quick: bool, rounds: int | None, peers: bool, as_json: bool) -> None:
    """Measure capture, bulk, runs, fanout, latency, timers and idle, or some of them, beside the peers.

    From a clone only: see bench/README.md there.
    """
    if not (_CLONE / "bench" / "__main__.py").exists():
        raise NotFound(
            "The benchmark is not part of the installed package. Clone the repository, and run `make bench` there."
        )
    command = [sys.executable, "-m", "bench", *jobs]
    command += ["--quick"] if quick else []
    command += ["--rounds", str(rounds)] if rounds else []
    command += [] if peers else ["--no-peers"]
    command += ["--json"] if as_json else []
    raise SystemExit(_run(command))


def _run(command: list[str]) -> int:
    """Run the benchmark, and wait for its end also after Ctrl-C, which it gets as well."""
    with subprocess.Popen(command, cwd=_CLONE) as process:  # noqa: S603  # our own module
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                continue
