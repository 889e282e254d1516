"""JSON as the ledger keeps it: what was read comes back, numbers to the last digit."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from runtime.ledger.jsonb import from_json, to_json

WHOLE = some.integers() | some.decimals(allow_nan=False, allow_infinity=False)
VALUES = some.recursive(
    some.none() | some.booleans() | WHOLE | some.text(),
    lambda inner: some.lists(inner, max_size=4) | some.dictionaries(some.text(), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_every_value_comes_back_as_it_was(value: Any) -> None:
    assert from_json(to_json(value)) == value


@given(some.floats(allow_nan=False, allow_infinity=False))
def test_a_float_is_written_with_the_digits_that_name_it(value: float) -> None:
    assert float(from_json(to_json(value))) == value
    assert json.loads(to_json(value)) == value


def test_numbers_keep_their_digits_and_are_never_floats() -> None:
    assert to_json([Decimal("1.10"), 0.1, 10**30, Decimal("1E-12")]) == f"[1.10, 0.1, {10**30}, 1E-12]"
    assert from_json("[0.1, 1.10, 7]") == [Decimal("0.1"), Decimal("1.10"), 7]
    assert from_json(to_json(10**5_000)) == 10**5_000


def test_what_json_has_no_number_for_is_the_text_that_postgres_reads() -> None:
    values = [Decimal("NaN"), float("inf"), Decimal("-Infinity"), float("nan")]
    assert to_json(values) == '["NaN", "inf", "-Infinity", "nan"]'


def test_times_are_iso_texts() -> None:
    at = datetime(2026, 6, 1, 12, 0, 0, 5, tzinfo=UTC)
    assert (
        to_json({"at": at, "day": date(2026, 2, 3)})
        == '{"at": "2026-06-01T12:00:00.000005+00:00", "day": "2026-02-03"}'
    )


def test_anything_else_is_refused() -> None:
    with pytest.raises(TypeError, match="a set can't be kept as JSON"):
        to_json({"a": {1}})
