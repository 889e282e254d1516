"""Old and new processes side by side, and a run that kills whoever takes it."""

import re
from pathlib import Path

import pytest

from tests.faults.market import Market, publish_papers
from tests.faults.points import trade
from tests.faults.system import wait_for

_MIGRATIONS = sorted((Path(__file__).parents[2] / "runtime" / "ledger" / "migrations").glob("*.sql"))
_FIRST = "0003"
"""Up to here everything came with the first version: no process is older."""
_DISRUPTIVE = re.compile(
    r"\bDROP\s+(TABLE|COLUMN|VIEW|FUNCTION|INDEX|SEQUENCE|SCHEMA)\b|\bRENAME\b|\bALTER\s+COLUMN\s+\w+\s+(SET\s+NOT\s+NULL|TYPE)\b"
    r"|\bADD\s+COLUMN\s+(?:IF\s+NOT\s+EXISTS\s+)?\w+\s+(?=[^,;]*NOT\s+NULL)(?![^,;]*DEFAULT)[^,;]*",
    re.IGNORECASE,
)


@pytest.mark.parametrize("path", [path for path in _MIGRATIONS if path.name[:4] > _FIRST], ids=lambda path: path.stem)
def test_a_migration_only_adds_so_that_older_processes_go_on(path: Path) -> None:
    text = re.sub(r"--[^\n]*", "", path.read_text())
    assert _DISRUPTIVE.findall(text) == []


@pytest.mark.parametrize(
    "text",
    ["DROP TABLE tidings.x;", "ALTER TABLE t RENAME COLUMN a TO b;", "ALTER TABLE t ADD COLUMN a int NOT NULL;"],
)
def test_what_would_break_older_processes_is_seen(text: str) -> None:
    assert _DISRUPTIVE.search(text)
    assert not _DISRUPTIVE.search("ALTER TABLE t ADD COLUMN a int NOT NULL DEFAULT 0, ADD COLUMN b int;")


def test_an_old_worker_leaves_work_that_it_does_not_know_to_a_new_one(fresh: Market) -> None:
    publish_papers(fresh.system)
    fresh.start("dispatch")
    fresh.start("worker", options=["--ignorant-of", "expand"])
    trade(fresh)
    left = "SELECT count(*) FROM tidings.outbox UNION ALL SELECT count(*) FROM tidings.run WHERE finished_at IS NULL"
    busy = f"SELECT sum(n) FROM ({left} UNION ALL SELECT count(*) FROM tidings.work WHERE kind <> 'expand') AS x(n)"
    wait_for(lambda: fresh.system.ledger_says(busy) == 0, lambda: "the old worker does not do what it knows")
    unknown = "SELECT count(*) FROM tidings.work WHERE kind = 'expand' AND attempts = 0 AND lease_until IS NULL"
    wait_for(lambda: fresh.system.ledger_says(unknown) == 1, lambda: "it took what it does not know")
    said = [record["said"] for record in fresh.history.records("accepted")]
    assert said
    assert not [text for text in said if text.startswith("paper-round")]
    fresh.start("worker-2")
    fresh.trader.act(30)

    def done() -> bool:
        fresh.doubt_nudges()  # each may reach the old one, and then it is the next one's turn
        return bool(fresh.system.ledger_says("SELECT count(*) FROM tidings.work") == 0)

    wait_for(done, lambda: "the new worker does not get what the old one leaves")
    fresh.judge()
    assert fresh.system.processes["worker"].poll() is None


def test_a_run_that_kills_its_worker_each_time_ends_alone_as_a_dead_letter(fresh: Market) -> None:
    fresh.start("dispatch")
    fresh.trader.write("parcels", rows=20, state="sent")
    wait_for(lambda: fresh.system.ledger_says("SELECT count(*) FROM tidings.run") == 20, lambda: "not all was claimed")
    poisonous = fresh.system.ledger_says("SELECT min(id) + 7 FROM tidings.run")
    deaths = 0
    while fresh.system.ledger_says("SELECT count(*) FROM tidings.dead_letter") == 0:
        name = f"worker-{deaths}"
        fresh.start(name, options=["--run", str(poisonous)])
        process = fresh.system.processes[name]

        def over(process: object = process) -> bool:
            dead = process.poll() is not None  # type: ignore[attr-defined]
            return dead or bool(fresh.system.ledger_says("SELECT count(*) FROM tidings.dead_letter"))

        wait_for(over, lambda: "the worker neither dies nor gives up")
        fresh.kill(name)
        fresh.hurry()
        deaths += 1
        assert deaths < 20, "it goes on for ever"
    fresh.start("worker")
    fresh.settle()
    findings = fresh.findings()
    assert findings.clean, str(findings)
    assert list(findings.known.values()) == ["dead letter"]
    assert findings.accepted == 19
    assert fresh.system.ledger_says("SELECT error FROM tidings.dead_letter").startswith("8 workers died")
