"""The application's side: who writes orders while something else is measured."""

import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg

from bench.stage import Stage
from runtime.errors import NotFound, TidingsError
from runtime.postgres.address import parse_url

_VALUES = (
    "{customer}, 'paid', {amount}, 'EUR', 'A lamp that stands on its own feet', repeat('a word ', 12),"
    " 'Long Street 12, second floor', 'Springfield', now()"
)
_INTO = "INSERT INTO shop.orders (customer_id, status, amount, currency, title, note, street, city, placed_at)"
INSERT_ONE = rf"""\set customer random(1, 1000)
\set amount random(1, 100000)
{_INTO} VALUES ({_VALUES.format(customer=":customer", amount=":amount")});
"""
UPDATE_ONE = r"""\set id random(1, :rows)
\set amount random(1, 100000)
UPDATE shop.orders SET amount = :amount, status = 'paid' WHERE id = :id;
"""
_MANY = _VALUES.format(customer="1 + mod(n, 1000)", amount="1 + n")
INSERT_MANY = f"{_INTO} SELECT {_MANY} FROM generate_series(1, 1000) n"
UPDATE_MANY = r"""\set first random(1, :rows - 999)
UPDATE shop.orders SET amount = amount + 1 WHERE id BETWEEN :first AND :first + 999;
"""
FILL = f"{_INTO} SELECT {_MANY} FROM generate_series(1, %s) n"
BULK = 1_000
AHEAD = 20_000
"""Rows that the bulk writer may be ahead of who reacts to them: so both go at the pace that lasts."""


@dataclass(frozen=True)
class Bench:
    """What pgbench said."""

    tps: float
    p50_ms: float
    """0 when single transactions were not logged."""


def pgbench(
    stage: Stage, url: str, script: str, *, clients: int, seconds: float, rows: int = 0, log: bool = False
) -> Bench:
    """Run a script with so many clients for a while, with prepared statements."""
    with TemporaryDirectory(prefix="pgbench-") as folder:
        command = _command(stage, Path(folder), script, clients=clients, seconds=seconds, rows=rows)
        if log:
            command += ["-l", "--log-prefix", str(Path(folder) / "log")]
        done = subprocess.run(command, env=_login(url), capture_output=True, text=True, check=False, process_group=0)
        found = re.search(r"tps = ([\d.]+) \(without", done.stdout)
        if done.returncode != 0 or found is None:
            raise TidingsError(f"pgbench failed: {done.stderr[-2000:]}")
        return Bench(float(found[1]), _median_ms(Path(folder)) if log else 0.0)


@contextmanager
def single_writers(stage: Stage, url: str, *, clients: int = 8) -> Iterator[None]:
    """Let clients insert orders, each in a transaction of its own, as fast as they can while the context lasts."""
    with TemporaryDirectory(prefix="pgbench-") as folder:
        command = _command(stage, Path(folder), INSERT_ONE, clients=clients, seconds=3600)
        process = subprocess.Popen(
            command, env=_login(url), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, process_group=0
        )
        try:
            yield
        finally:
            process.terminate()
            process.wait()


@contextmanager
def bulk_writer(url: str, done: Callable[[], int]) -> Iterator[None]:
    """Insert 1,000 orders a statement while the context lasts, at most 20,000 ahead of what is done."""
    stop = threading.Event()
    seen = [0]

    def write() -> None:
        written = 0
        with psycopg.connect(url, autocommit=True) as conn:
            while not stop.is_set():
                if written - seen[0] > AHEAD - BULK:
                    time.sleep(0.002)
                    continue
                conn.execute(INSERT_MANY)
                written += BULK

    def look() -> None:
        while not stop.wait(0.05):
            seen[0] = done()

    threads = [threading.Thread(target=work, daemon=True) for work in (write, look)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)


def _command(stage: Stage, folder: Path, script: str, *, clients: int, seconds: float, rows: int = 0) -> list[str]:
    program = stage.binaries / "pgbench"
    if not program.exists():
        raise NotFound(
            f"There is no pgbench in {stage.binaries}. Install your system's PostgreSQL (on Debian: postgresql)."
        )
    file = folder / "script.sql"
    file.write_text(script)
    jobs, duration = str(min(2, clients)), str(max(1, round(seconds)))
    settings = ["-n", "-M", "prepared", "-c", str(clients), "-j", jobs, "-T", duration, "-D", f"rows={rows}"]
    return [str(program), *settings, "-f", str(file)]


def _login(url: str) -> dict[str, str]:
    values = parse_url(url)
    names = {"PGHOST": "host", "PGPORT": "port", "PGUSER": "user", "PGPASSWORD": "password", "PGDATABASE": "dbname"}
    return {variable: values[name] for variable, name in names.items()}


def _median_ms(folder: Path) -> float:
    micros = sorted(int(line.split()[2]) for file in folder.glob("log*") for line in file.read_text().splitlines())
    return micros[len(micros) // 2] / 1000 if micros else 0.0
