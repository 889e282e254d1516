"""Array parameters: Postgres reads back exactly what was written."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from psycopg import Connection

from runtime.ledger.arrays import int_array, text_array, time_array

TEXTS = [
    "",
    "NULL",
    "null",
    "a,b",
    '"',
    "\\",
    '\\"',
    "{x}",
    " a ",
    "line\nbreak",
    "tab\t",
    "ü\u2028😀",
    "'; --",
    "%s",
    None,
]


def test_texts_come_back_as_they_were(app: Connection[Any]) -> None:
    assert app.execute("SELECT %s::text[]", (text_array(TEXTS),)).fetchone() == (TEXTS,)
    pairs = ["".join(map(str, (a, b))) for a in TEXTS for b in TEXTS]
    assert app.execute("SELECT %s::text[]", (text_array(pairs),)).fetchone() == (pairs,)
    assert app.execute("SELECT %s::text[]", (text_array([]),)).fetchone() == ([],)
    for text in TEXTS:
        assert app.execute("SELECT %s::text[]", (text_array([text, "x"]),)).fetchone() == ([text, "x"],)


def test_json_texts_become_values(app: Connection[Any]) -> None:
    texts = ['{"a": "x\\"y\\\\z"}', "[1, 2.50]", None, '"{}"']
    assert app.execute("SELECT %s::jsonb[]", (text_array(texts),)).fetchone() == (
        [{"a": 'x"y\\z'}, [1, 2.5], None, "{}"],
    )


def test_numbers_and_instants_come_back_too(app: Connection[Any]) -> None:
    assert app.execute("SELECT %s::int8[]", (int_array([3, -1, 2**62]),)).fetchone() == ([3, -1, 2**62],)
    instants = [
        datetime(2026, 6, 1, 12, tzinfo=UTC),
        datetime(2026, 6, 1, 12, 0, 0, 1, tzinfo=timezone(timedelta(hours=-3, minutes=-30))),
        datetime.max.replace(tzinfo=UTC),
        datetime.min.replace(tzinfo=UTC),
    ]
    app.execute("SET timezone = 'UTC'")
    assert app.execute("SELECT %s::timestamptz[]", (time_array(instants),)).fetchone() == (instants,)
    assert app.execute("SELECT %s::int8[]", (int_array([]),)).fetchone() == ([],)
