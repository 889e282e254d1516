"""The peers' ways of reacting to a row, each as its documentation or an expert would set it up."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg

from bench.peer import PeerProcess, Peers
from bench.stage import Stage
from runtime.ledger.queries import load_queries

TRIGGERS = load_queries("bench.peers")


@dataclass(frozen=True)
class Rival:
    """One configuration of one peer."""

    name: str
    script: str
    trigger: str
    """Which of the triggers tells it of rows."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """What its worker is started with."""

    @contextmanager
    def database(self, stage: Stage, *, customers: int = 1_000) -> Iterator[str]:
        """Yield a fresh database with the shop, this peer's schema, and its trigger."""
        with stage.database(f"bench_{self.trigger}", customers=customers) as url:
            if self.script:
                installed(stage).setup(self.script, url=url)
            with psycopg.connect(url, autocommit=True) as conn:
                conn.execute(TRIGGERS[self.trigger])
                conn.execute("ANALYZE")
            yield url

    def work(self, stage: Stage, url: str, **more: Any) -> PeerProcess:
        """Start its worker; use it as a context."""
        return installed(stage).work(self.script, url=url, **self.options, **more)


def installed(stage: Stage) -> Peers:
    """Return the peers of a stage that has them."""
    if stage.peers is None:
        raise ValueError("this stage has no peers")
    return stage.peers


NOTIFY = Rival("NOTIFY per row", "", "notify")
GRAPHILE_ROW = Rival("graphile-worker, row trigger (documented)", "graphile.mjs", "graphile_row", {"localQueue": 500})
GRAPHILE_STATEMENT = Rival(
    "graphile-worker, statement trigger (expert)", "graphile.mjs", "graphile_statement", {"localQueue": 500}
)
GRAPHILE_PROMPT = Rival("graphile-worker", "graphile.mjs", "graphile_row")
"""Without a local queue, whose batches cost latency."""
PGBOSS_STATEMENT = Rival("pg-boss, statement trigger", "pgboss.mjs", "pgboss_statement")
PGBOSS_NOTIFY = Rival("pg-boss, statement trigger with notify", "pgboss.mjs", "pgboss_notify")
PGBOSS_PROMPT = Rival("pg-boss", "pgboss.mjs", "pgboss_notify", {"batchSize": 1000})
PROCRASTINATE = Rival("procrastinate", "procrastinate_peer.py", "procrastinate_statement")
DBOS = Rival("DBOS", "dbos_peer.py", "dbos_statement")
PYTHON = (PROCRASTINATE, DBOS)
