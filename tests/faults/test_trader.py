"""The generator writes the same for the same seed, everything it should, and what it says it did."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from runtime.postgres.server import PostgresServer
from tests.faults.history import History
from tests.faults.oracle import changes, owed_by
from tests.faults.trader import Trader, tables_as_they_are
from tests.fresh_database import fresh_database


@pytest.fixture
def url(server: PostgresServer) -> Iterator[str]:
    with fresh_database(server, "trader") as url:
        with psycopg.connect(url, autocommit=True) as conn:
            conn.execute((Path(__file__).parent / "trade.sql").read_bytes())
        yield url


def test_what_the_trader_says_is_what_is_in_the_tables(url: str, tmp_path: Path) -> None:
    with History(tmp_path / "history") as history, Trader(url, history, seed=3) as trader:
        trader.act(400)
        assert trader.rows() == tables_as_they_are(url)
        done = changes(history)
        owed = Counter(item.workflow for item in owed_by(list(history)))
    assert Counter(change.op for change in done).keys() == {"insert", "update", "delete"}
    assert owed.keys() == {"parcel-sent", "parcel-lost", "invoice-due", "alarm-raised", "alarm-posted"}


def test_transactions_overlap_and_commit_out_of_order(url: str, tmp_path: Path) -> None:
    with History(tmp_path / "history") as history, Trader(url, history, seed=3) as trader:
        trader.act(200)
        ended = [record["transaction"] for record in history.records("committed")]
    assert ended != sorted(ended)
    assert set(range(1, max(ended) + 1)) - set(ended), "none was rolled back"


def test_the_same_seed_writes_the_same(url: str, tmp_path: Path) -> None:
    def written(number: int, seed: int) -> list[object]:
        with psycopg.connect(url, autocommit=True) as conn:
            conn.execute("TRUNCATE trade.parcels, trade.invoices, trade.alarms, trade.done")
        with History(tmp_path / str(number)) as history, Trader(url, history, seed=seed) as trader:
            trader.act(80)
            return [
                (change.table, change.op, change.old, change.new, change.transaction) for change in changes(history)
            ]

    assert written(1, 5) == written(2, 5) != written(3, 6)


def test_what_was_not_committed_never_happened(url: str, tmp_path: Path) -> None:
    with History(tmp_path / "history") as history, Trader(url, history, seed=4) as trader:
        trader.act(30)
        for _ in range(5):
            with psycopg.connect(url, autocommit=True) as conn:
                conn.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            trader.act(30)
        assert trader.rows() == tables_as_they_are(url)
        assert history.records("rolled back")
