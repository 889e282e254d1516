"""The SQL of a hook, as text: what it must never contain."""

import re

import pytest

from runtime.capture.hook import OPERATIONS, Hook, function_sql, merged_prefilters, trigger_sql
from runtime.capture.payload import json_object, session_settings
from runtime.spec.schema import Column
from tests.spec_catalog import shop

COLUMNS = next(table.columns for table in shop().tables if table.name == "orders")
KEY = COLUMNS[:1]
HOOK = Hook(7, 3, 1, KEY, COLUMNS, dict.fromkeys(OPERATIONS, "n.\"status\" = 'paid'"))


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_trigger_names_no_column(operation: str) -> None:
    text = trigger_sql(7, operation, ("shop", 'or"ders'))
    assert text.startswith(
        f'CREATE TRIGGER "tidings_capture_7_{operation[0]}" AFTER {operation.upper()} ON "shop"."or""ders" '
    )
    assert text.endswith(f'FOR EACH STATEMENT EXECUTE FUNCTION "tidings"."hook_7_{operation[0]}"()')
    assert " WHEN " not in text
    assert " OF " not in text


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_function_is_pinned_and_guarded(operation: str) -> None:
    text = function_sql(HOOK, operation)
    head, body = text.split(" AS '", 1)
    assert "SECURITY DEFINER" in head
    assert "SET search_path = pg_catalog, pg_temp SET lock_timeout = '50ms' SET jit = off" in head
    assert ("enable_nestloop = off" in head) == (operation == "update")
    unguarded = body.split("BEGIN", 3)[1] + body.rsplit("END;", 1)[1]
    assert not re.search(r'"status"|"id"', unguarded)
    assert body.count('"status"') > 0


def test_only_an_update_and_a_delete_write_the_row_before() -> None:
    assert 'o"."status' not in function_sql(HOOK, "insert")
    assert 'o"."status' in function_sql(HOOK, "update")
    assert 'n"."status' not in function_sql(HOOK, "delete")


def test_an_operation_that_nobody_needs_has_an_empty_body() -> None:
    text = function_sql(Hook(7, 3, 1, KEY, COLUMNS, {}), "update")
    assert "tidings.outbox" not in text
    assert text.endswith("AS 'BEGIN\n    RETURN NULL;\nEND'")


def test_prefilters_are_joined_by_or_and_one_that_says_nothing_silences_them() -> None:
    first, second = {"insert": "a", "update": "b"}, {"update": "c"}
    assert merged_prefilters([first, second]) == {"insert": "(a)", "update": "(b) OR (c)"}
    assert merged_prefilters([first, first]) == {"insert": "(a)", "update": "(b)"}
    assert merged_prefilters([first, {"update": "true"}]) == {"insert": "(a)", "update": "true"}
    assert merged_prefilters([]) == {}


def test_an_object_never_has_more_than_fifty_columns() -> None:
    columns = [Column(name=f"c{i}", type="integer", base="integer") for i in range(101)]
    text = json_object(columns, "n").as_string(None)
    assert [part.count("'c") for part in text.split(" || ")] == [50, 50, 1]
    assert json_object([], "n").as_string(None) == "NULL"


@pytest.mark.parametrize(
    ("kind", "base", "pinned", "value"),
    [
        ("integer", "integer", False, '"n"."c"'),
        ("numeric(10,2)", "numeric(10,2)", False, '"n"."c"'),
        ("double precision", "double precision", True, '"n"."c"'),
        ("interval", "interval", True, '"n"."c"'),
        ("shop.cents", "integer", True, '"n"."c"'),
        ("shop.plan", "text", True, 'format(\'%s\', "n"."c")'),
        ("shop.plan[]", "text[]", True, 'to_jsonb(CAST(format(\'%s\', "n"."c") AS text[]))'),
        ("shop.pair", "", True, 'format(\'%s\', "n"."c")'),
    ],
)
def test_a_type_that_is_not_built_in_is_written_as_text(kind: str, base: str, pinned: bool, value: str) -> None:
    column = Column(name="c", type=kind, base=base)
    assert bool(session_settings([column])) == pinned
    text = json_object([column], "n").as_string(None)
    wanted = value if value == '"n"."c"' else f'CASE WHEN "n"."c" IS DISTINCT FROM NULL THEN {value} END'
    assert text == f"jsonb_build_object('c', {wanted})"
