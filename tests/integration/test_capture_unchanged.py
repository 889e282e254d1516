"""A large UPDATE that changes nothing of interest is let go quickly, and never one that changes something."""

from typing import Any

import pytest
from psycopg import Connection

from runtime.capture.unchanged import ROWS, unchanged
from runtime.spec.prefilter import distinct
from runtime.spec.schema import Column
from tests.hooks import events, hook, keys, table_of

MANY = """
CREATE TYPE shop.mood AS ENUM ('low', 'high');
CREATE TABLE shop.many (id int PRIMARY KEY, t text, n numeric, d date, m shop.mood, problem text, j json, note text);
INSERT INTO shop.many
SELECT i, nullif('t' || i % 7, 't3'), i % 5, date '2026-01-01' + i % 9,
       CASE i % 3 WHEN 0 THEN 'low' ELSE 'high' END::shop.mood, 'p' || i % 4, '{}', ''
FROM generate_series(1, 300) AS i;
"""


@pytest.fixture
def many(app: Connection[Any]) -> Connection[Any]:
    """The application, with three hundred rows."""
    app.execute(MANY)
    return app


def _watch_changes(conn: Connection[Any], *names: str) -> None:
    table = table_of(conn, "shop.many")
    changes = [distinct(column) for name in names if (column := table.column(name)) is not None]
    hook(conn, "shop.many", *names, ops=("update",), prefilter=" OR ".join(f"({change})" for change in changes))


@pytest.mark.parametrize(
    ("name", "value"),
    [("t", "'new'"), ("t", "NULL"), ("n", "9"), ("d", "'2027-01-01'"), ("m", "NULL"), ("problem", "'new'")],
)
def test_one_row_of_many_that_changed_is_found_wherever_it_stands(many: Connection[Any], name: str, value: str) -> None:
    _watch_changes(many, name)
    assert "array_agg" in many.execute("SELECT prosrc FROM pg_proc WHERE proname = 'hook_1_u'").fetchall()[0][0]
    many.execute("UPDATE shop.many SET note = 'x'")
    assert events(many) == []
    for row in (1, 2, 151, 299, 300):
        many.execute(f"UPDATE shop.many SET {name} = CASE id WHEN {row} THEN {value} ELSE {name} END".encode())
        assert [key["id"] for _, key, _, _ in events(many)] == [row]
    assert keys(many) == []


def test_values_that_change_places_have_changed(many: Connection[Any]) -> None:
    _watch_changes(many, "t", "n")
    many.execute("UPDATE shop.many SET n = CASE id WHEN 10 THEN 1 WHEN 11 THEN 0 ELSE n END")
    assert [key["id"] for _, key, _, _ in events(many)] == [10, 11]


def test_a_condition_on_the_row_as_it_is_holds_for_rows_that_did_not_change(many: Connection[Any]) -> None:
    hook(many, "shop.many", "n", ops=("update",), prefilter='n."n" = 4')
    many.execute("UPDATE shop.many SET note = 'x'")
    assert {key["id"] % 5 for _, key, _, _ in events(many)} == {4}
    hook(many, "shop.many", "n", ops=("update",), prefilter='(n."n" = 4) AND ((o."n" = 4) IS NOT TRUE)')
    many.execute("UPDATE shop.many SET note = 'y'")
    assert events(many) == []
    many.execute("UPDATE shop.many SET n = CASE WHEN id = 200 THEN 4 ELSE n END")
    assert [key["id"] for _, key, _, _ in events(many)] == [200]


def test_long_texts_and_very_many_rows_are_compared_pair_by_pair(many: Connection[Any]) -> None:
    _watch_changes(many, "t")
    many.execute("UPDATE shop.many SET t = repeat('x', 2000); TRUNCATE tidings.outbox")
    many.execute("UPDATE shop.many SET t = CASE id WHEN 7 THEN repeat('y', 2000) ELSE t END")
    assert [key["id"] for _, key, _, _ in events(many)] == [7]
    many.execute("INSERT INTO shop.many (id, t) SELECT i, 'x' FROM generate_series(1000, %s) AS i", (ROWS + 1000,))
    last = ROWS + 1000
    many.execute(f"UPDATE shop.many SET t = CASE id WHEN {last} THEN 'y' ELSE t END WHERE id >= 1000".encode())
    assert [key["id"] for _, key, _, _ in events(many)] == [last]


def test_columns_without_an_equality_or_without_a_bound_are_not_put_into_arrays() -> None:
    kinds = ("json", "jsonb", "bytea", "point", "text[]", "integer")
    columns = {kind: Column(name=kind, type=kind, base=kind) for kind in kinds}
    told = [kind for kind in kinds if unchanged(list(columns.values()), _changed(kind)) is not None]
    assert told == ["integer"]
    assert unchanged(list(columns.values()), f"({_changed('integer')}) OR ({_changed('gone')})") is None
    assert unchanged(list(columns.values()), f'({_changed("integer")}) OR (n."integer" = 4)') is None
    assert unchanged([], "true") is None


def _changed(name: str) -> str:
    return f'n."{name}" IS DISTINCT FROM o."{name}"'
