"""Partitioned tables: each change is captured once, whichever table the statement names."""

from typing import Any

import pytest
from psycopg import Connection

from runtime.capture.health import capture_health
from runtime.errors import NotAllowed
from tests.hooks import ALL, count, events, hook, keys

VISITS = """
CREATE TABLE shop.visits (id int, at date, page text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE shop.visits_2025 (page text, at date NOT NULL, gone int, id int NOT NULL);
ALTER TABLE shop.visits_2025 DROP gone;
ALTER TABLE shop.visits ATTACH PARTITION shop.visits_2025 FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE shop.visits_2026 PARTITION OF shop.visits FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')
    PARTITION BY HASH (id);
CREATE TABLE shop.visits_2026_even PARTITION OF shop.visits_2026 FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE shop.visits_2026_odd PARTITION OF shop.visits_2026 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
"""


@pytest.fixture
def visits(app: Connection[Any]) -> Connection[Any]:
    """The application, with a table that is partitioned twice and whose first leaf has its columns in another order."""
    app.execute(VISITS)
    hook(app, "shop.visits")
    return app


def _row(number: int, at: str, page: str) -> dict[str, Any]:
    return {"id": number, "at": at, "page": page}


def test_writes_through_the_root_are_captured_once(visits: Connection[Any]) -> None:
    visits.execute("INSERT INTO shop.visits VALUES (1, '2025-05-05', 'a'), (2, '2026-05-05', 'b')")
    visits.execute("UPDATE shop.visits SET page = upper(page)")
    visits.execute("DELETE FROM shop.visits WHERE id = 1")
    first, second = _row(1, "2025-05-05", "a"), _row(2, "2026-05-05", "b")
    assert [(op, new, old) for op, _, new, old in events(visits)] == [
        ("i", first, None),
        ("i", second, None),
        ("u", first | {"page": "A"}, first),
        ("u", second | {"page": "B"}, second),
        ("d", None, first | {"page": "A"}),
    ]


@pytest.mark.parametrize("table", ["visits_2026", "visits_2026_even", "visits_2026_odd", "visits_2025"])
def test_writes_to_a_partition_itself_are_captured(visits: Connection[Any], table: str) -> None:
    year = table[7:11]
    ids = "SELECT i FROM generate_series(1, 20) AS i"
    if table.endswith(("even", "odd")):
        ids += f" WHERE satisfies_hash_partition('shop.visits_2026'::regclass, 2, {int(table.endswith('odd'))}, i)"
    visits.execute(
        f"INSERT INTO shop.{table} (id, at, page) SELECT i, '{year}-02-03', 'x' FROM ({ids} LIMIT 2) AS s (i)"
    )
    visits.execute(f"UPDATE shop.{table} SET page = 'y'")
    visits.execute(f"DELETE FROM shop.{table}")
    found = events(visits)
    assert [op for op, _, _, _ in found] == ["i", "i", "u", "u", "d", "d"]
    assert all(new["page"] == "y" and old["page"] == "x" and new["id"] == old["id"] for _, _, new, old in found[2:4])


def test_a_row_that_moves_between_partitions_keeps_its_partner(visits: Connection[Any]) -> None:
    visits.execute(
        "INSERT INTO shop.visits SELECT i, date '2025-12-28' + i % 8, i::text FROM generate_series(1, 40) AS i"
    )
    events(visits)
    visits.execute("UPDATE shop.visits SET at = date '2026-01-03' - (at - date '2025-12-28')")
    found = events(visits)
    assert len(found) == 40
    assert all(old["id"] == new["id"] == key["id"] and key["at"] == new["at"] for _, key, new, old in found)
    assert {old["at"] > "2026" for _, _, _, old in found} == {True, False}
    visits.execute("UPDATE shop.visits SET at = '2026-06-01' WHERE id = 8")
    [(op, _, new, old)] = events(visits)
    assert (op, new["at"], old["id"], new["id"]) == ("u", "2026-06-01", 8, 8)


def test_a_move_that_a_trigger_refuses_halfway_is_kept_by_key(visits: Connection[Any]) -> None:
    visits.execute(
        "CREATE FUNCTION shop.refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NULL; END$$;"
        "CREATE TRIGGER refuse BEFORE INSERT ON shop.visits_2025 FOR EACH ROW WHEN (NEW.id = 2)"
        " EXECUTE FUNCTION shop.refuse();"
        "INSERT INTO shop.visits SELECT i, '2026-05-05', 'x' FROM generate_series(1, 3) AS i"
    )
    events(visits)
    visits.execute("UPDATE shop.visits SET at = '2025-05-05'")
    assert events(visits) == []
    kept = keys(visits)
    assert {key["id"] for _, key, _ in kept} == {1, 2, 3}
    assert all("more old rows than new" in error for _, _, error in kept)
    visits.execute("TRUNCATE tidings.outbox_key; INSERT INTO shop.visits VALUES (2, '2026-05-05', 'x')")
    visits.execute("UPDATE shop.visits SET at = '2025-05-05' WHERE id = 2")
    assert [key["id"] for _, key, _ in keys(visits)] == [2]


def test_a_merge_is_captured_and_a_row_that_it_moves_counts_as_deleted_and_inserted(visits: Connection[Any]) -> None:
    """Postgres shows a moved row to a MERGE's DELETE and INSERT triggers, and to the UPDATE trigger not at all."""
    visits.execute("INSERT INTO shop.visits SELECT i, '2025-06-06', i::text FROM generate_series(1, 6) AS i")
    events(visits)
    visits.execute(
        "MERGE INTO shop.visits v USING generate_series(3, 7) AS s(id) ON v.id = s.id"
        " WHEN MATCHED AND s.id = 3 THEN UPDATE SET page = 'new'"
        " WHEN MATCHED AND s.id = 4 THEN UPDATE SET at = '2026-06-06'"
        " WHEN MATCHED AND s.id = 5 THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (s.id, '2026-01-01', 'n')"
    )
    found = sorted(events(visits), key=lambda event: (event[0], event[1]["id"]))
    assert [(op, key["id"]) for op, key, _, _ in found] == [("d", 4), ("d", 5), ("i", 4), ("i", 7), ("u", 3)]
    _, _, new, old = found[4]
    assert (new["page"], old["page"]) == ("new", "3")


def test_a_partition_attached_later_is_a_blind_spot_until_the_next_publish(visits: Connection[Any]) -> None:
    visits.execute("CREATE TABLE shop.late PARTITION OF shop.visits FOR VALUES FROM ('2027-01-01') TO ('2028-01-01')")
    visits.execute("INSERT INTO shop.visits VALUES (1, '2027-05-05', 'a')")
    visits.execute("INSERT INTO shop.late VALUES (2, '2027-05-05', 'b')")
    assert [key["id"] for _, key, _, _ in events(visits)] == [1]
    health = capture_health(visits, 1)
    assert health.red
    assert [reason.split(":")[0] for reason in health.reasons] == [
        f"shop.late has no trigger for {op}" for op in sorted(ALL)
    ]
    hook(visits, "shop.visits")
    visits.execute("INSERT INTO shop.late VALUES (3, '2027-05-05', 'b')")
    assert [key["id"] for _, key, _, _ in events(visits)] == [3]
    assert not capture_health(visits, 1).red


def test_a_table_with_foreign_partitions_gets_no_hook_because_it_would_fail_writes(visits: Connection[Any]) -> None:
    visits.execute(
        "CREATE FOREIGN DATA WRAPPER nothing; CREATE SERVER nowhere FOREIGN DATA WRAPPER nothing;"
        "ALTER TABLE shop.visits DROP CONSTRAINT visits_pkey;"
        "CREATE FOREIGN TABLE shop.old_visits PARTITION OF shop.visits DEFAULT SERVER nowhere"
    )
    assert any("shop.old_visits is a foreign table" in reason for reason in capture_health(visits, 1).reasons)
    with pytest.raises(NotAllowed, match=r"foreign tables: shop\.old_visits"):
        hook(visits, "shop.visits")


def test_a_payload_that_fails_on_a_partitioned_table_keeps_keys(visits: Connection[Any]) -> None:
    visits.execute("ALTER TABLE shop.visits RENAME page TO url")
    visits.execute("INSERT INTO shop.visits VALUES (1, '2025-05-05', 'a')")
    visits.execute("UPDATE shop.visits SET at = '2026-05-05'")
    assert [(op, key) for op, key, _ in keys(visits)] == [
        ("i", {"id": 1, "at": "2025-05-05"}),
        ("u", {"id": 1, "at": "2026-05-05"}),
    ]
    assert count(visits, "missed_1") == 0
