"""A production dump is restored into staging under a system that runs there: nothing of it is sent."""

import subprocess
from pathlib import Path

from runtime.postgres.binaries import find_binaries
from runtime.postgres.server import PostgresServer
from tests.faults.market import market
from tests.faults.system import wait_for

_SCHEMAS = ("tidings", "trade")


def test_a_production_dump_in_staging_sends_nothing(server: PostgresServer, tmp_path: Path) -> None:
    with (
        market(server, tmp_path / "production", name="production") as production,
        market(server, tmp_path / "staging", name="staging") as staging,
    ):
        production.start("dispatch")
        production.trader.act(40)
        owed = "SELECT count(*) FROM tidings.work"
        wait_for(lambda: production.system.ledger_says(owed) > 0, lambda: "nothing was claimed")
        production.kill()
        production.trader.act(40)
        staging.start("dispatch", "worker")
        staging.trader.write("parcels", state="sent")
        staging.settle()
        sent = len(staging.history.records("accepted"))

        restore(server, production.system.url, staging.system.url)
        staging.system.do(
            "GRANT ALL ON ALL TABLES IN SCHEMA tidings TO PUBLIC; GRANT USAGE ON SCHEMA tidings TO PUBLIC"
        )
        held = "SELECT held_reason FROM tidings.project"
        wait_for(lambda: staging.system.ledger_says(held) is not None, lambda: "nobody noticed")
        staging.kill()
        staging.start("dispatch-2", "worker-2")
        wait_for(lambda: staging.system.log.read_text().count("leader.elected") >= 2, lambda: "nobody leads")
        staging.doubt_nudges()
        staging.system.do("INSERT INTO trade.alarms VALUES (1000000, 1, 0, 1)")

        assert staging.system.ledger_says(owed) > 0
        assert len(staging.history.records("accepted")) == sent, "the copy sent something"
        assert "restored from a dump" in staging.system.ledger_says(held)
        production.start("dispatch-2", "worker-2")
        production.judge()


def restore(server: PostgresServer, source: str, target: str) -> None:
    """Replace what is in a database with a dump of another, under the sessions that are open there.

    The hardest case: the database has the same name, and the server seems to be the same.
    """
    folder = server.binaries or find_binaries()
    dump = [str(folder / "pg_dump"), "--dbname", source, *(f"--schema={name}" for name in _SCHEMAS)]
    text = subprocess.run(dump, check=True, capture_output=True, text=True).stdout
    load = [str(folder / "psql"), "--dbname", target, "--quiet", "--single-transaction", "--set", "ON_ERROR_STOP=1"]
    drop = "".join(f"DROP SCHEMA {name} CASCADE;" for name in _SCHEMAS)
    alike = "UPDATE tidings.project SET database_name = current_database();"
    subprocess.run(load, input=f"{drop}\n{text}\n{alike}", check=True, capture_output=True, text=True)
