import re

import pytest

from runtime.rehearsal.clockwords import on_virtual_clock
from runtime.rehearsal.patterns import grown, patterns_in

NOW = "tidings.virtual_now()"


@pytest.mark.parametrize(
    ("written", "rewritten"),
    [
        ("now()", NOW),
        ("(now() + '3 days'::interval)", f"({NOW} + '3 days'::interval)"),
        ("CURRENT_TIMESTAMP", f"({NOW})::timestamptz"),
        ("CURRENT_TIMESTAMP(3)", f"({NOW})::timestamptz(3)"),
        ("CURRENT_DATE", f"({NOW})::date"),
        ("LOCALTIMESTAMP", f"({NOW})::timestamp"),
        ("LOCALTIME", f"({NOW})::time"),
        ("timezone('utc'::text, clock_timestamp())", f"timezone('utc'::text, {NOW})"),
        ("('now'::text)::date", f"(({NOW})::text)::date"),
    ],
)
def test_every_way_to_read_the_clock_is_rewritten(written: str, rewritten: str) -> None:
    assert on_virtual_clock(written) == rewritten


@pytest.mark.parametrize(
    "written",
    ["'now() CURRENT_DATE'::text", '("CURRENT_DATE" > 3)', "shop.now()", "known()", "E'it\\'s now()'", "'it''s now()'"],
)
def test_what_only_looks_like_the_clock_stays(written: str) -> None:
    assert on_virtual_clock(written) == written


@pytest.mark.parametrize(
    "pattern",
    [
        "^[A-Z]{3}-[0-9]{4,}$",
        "^[a-z0-9-]{3,20}$",
        r"^\d{5}(-\d{4})?$",
        "^(red|green)+$",
        "^[^@ ]+@[^@ ]+[.][a-z]{2,}$",
        "^#[0-9a-fA-F]{6}$",
        r"^\+?[1-9]\d{1,14}$",
        "^https?://",
        r"^[[:alpha:]_]\w*$",
        "^(?:a|b)c$",
    ],
)
def test_a_text_is_grown_that_matches_a_regular_expression(pattern: str) -> None:
    python = pattern.replace("[[:alpha:]_]", "[A-Za-z_]")
    assert any(re.search(python, text) for text in grown(pattern)), grown(pattern)


def test_a_text_is_grown_for_a_like_pattern_and_escapes_are_taken_literally() -> None:
    assert grown("%@acme.test")[0] == "a@acme.test"
    assert grown(r"AB\_%")[0] == "AB_a"


def test_patterns_are_found_as_postgres_writes_them_back() -> None:
    rule = "((a ~ '^x$'::text) AND (b ~~* 'it''s%'::text) AND (c ~ similar_to_escape('(x|y)+'::text)))"
    assert patterns_in(rule) == ["^x$", "it's%", "(x|y)+"]
