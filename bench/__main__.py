"""`python -m bench`: chooses jobs, plays them on a server of their own, and prints and keeps the rows."""

import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import click
import psycopg

from bench.jobs import JOBS
from bench.peer import install
from bench.results import Row
from bench.stage import QUICK, ROOT, TINY, Scale, Stage, bench_server
from cli.lifetime import interrupted_by_signals
from runtime.errors import TidingsError

_RESULTS = ROOT / "bench" / "results"
_PEERS = ROOT / "bench" / ".peers"


@click.command()
@click.argument("jobs", nargs=-1, type=click.Choice(sorted(JOBS)))
@click.option("--quick", is_flag=True, help="One short round: shows that everything runs; its numbers mean nothing.")
@click.option("--tiny", is_flag=True, hidden=True, help="Shorter still, for a test.")
@click.option("--rounds", type=click.IntRange(1), help="How often each variant is measured.")
@click.option("--peers/--no-peers", default=True, help="Measure the peers too; they are installed at first.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a row.")
def main(jobs: tuple[str, ...], *, quick: bool, tiny: bool, rounds: int | None, peers: bool, as_json: bool) -> None:
    """Run the jobs, all of them unless some are named."""
    interrupted_by_signals()
    scale = TINY if tiny else QUICK if quick else Scale()
    scale = scale.with_rounds(rounds) if rounds else scale
    began = time.monotonic()

    def tell(what: str) -> None:
        click.echo(click.style(f"[{time.monotonic() - began:6.1f} s] {what}", dim=True), err=True)

    kept = Kept(jobs or tuple(JOBS), scale)
    try:
        for row in _play(kept, tell, peers=peers):
            kept.rows.append(row)
            click.echo(json.dumps(row.as_json(), ensure_ascii=False) if as_json else row.as_text())
    except KeyboardInterrupt:
        tell("Interrupted; what was measured until now is kept.")
        sys.exit(130)
    except TidingsError as error:
        raise click.ClickException(str(error)) from error
    finally:
        if kept.rows and not tiny:
            tell(f"Kept in {kept.write().relative_to(ROOT)}")
    if kept.failed:
        raise click.ClickException(f"Not everything could be measured: {', '.join(kept.failed)}.")


@dataclass
class Kept:
    """What a run was asked for, and what came of it."""

    jobs: tuple[str, ...]
    scale: Scale
    rows: list[Row] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def write(self) -> Path:
        """Write everything into a file of its own."""
        _RESULTS.mkdir(parents=True, exist_ok=True)
        now = datetime.now(UTC)
        path = _RESULTS / f"{now:%Y%m%d-%H%M%S}.json"
        values = {
            "at": now.isoformat(timespec="seconds"),
            "jobs": self.jobs,
            "failed": self.failed,
            "scale": asdict(self.scale),
            "machine": {"processors": os.cpu_count(), "system": platform.platform()},
            "rows": [row.as_json() for row in self.rows],
        }
        path.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        return path


def _play(kept: Kept, tell: Callable[[str], None], *, peers: bool) -> Iterator[Row]:
    """Yield the rows of every job; one that fails keeps no other from being played."""
    installed = install(_PEERS, tell) if peers else None
    with bench_server() as server:
        stage = Stage(server, kept.scale, installed, tell)
        for name in kept.jobs:
            tell(f"{name}: {JOBS[name].about}")
            try:
                yield from JOBS[name].run(stage)
            except (TidingsError, psycopg.Error) as error:
                kept.failed.append(name)
                tell(f"{name} failed: {error}")


if __name__ == "__main__":
    main(prog_name="tidings bench")
