"""Filters: what each prints, for whom, and how it fails."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from runtime.templates.filters import FILTERS
from runtime.templates.formats import locale_of
from runtime.templates.rendering import RenderFailed
from tests.templates_sample import VALUES, rendered

NOON = "2026-06-01T12:00:00+00:00"
FORMATTED = [
    ("{{ x | money('USD') }}", 4000, "en", "$40.00"),
    ("{{ x | money('usd') }}", 123_456_789, "en", "$1,234,567.89"),
    ("{{ x | money('USD') }}", 90_000, "fr", "900,00 $US"),
    ("{{ x | money('EUR') }}", 123_456, "fr", "1 234,56 €"),
    ("{{ x | money('EUR') }}", 123_456, "de-CH", "EUR 1\u2019234.56"),
    ("{{ x | money('EUR') }}", 123_456, "de", "1.234,56 €"),
    ("{{ x | money('JPY') }}", 5000, "ja", "￥5,000"),
    ("{{ x | money('JPY') }}", 5000, "en", "¥5,000"),
    ("{{ x | money('KWD') }}", 5000, "en", "KWD 5.000"),
    ("{{ x | money('USD') }}", -150, "en", "-$1.50"),
    ("{{ x | money('USD') }}", "4000", "en", "$40.00"),
    ("{{ x | money('USD') }}", 4000.0, "en", "$40.00"),
    ("{{ x | money('USD', 'major') }}", 19.9, "en", "$19.90"),
    ("{{ x | money('USD', unit='major') }}", Decimal("19.90"), "fr", "19,90 $US"),
    ("{{ x | money('USD') }}", 10**18, "en", "$10,000,000,000,000,000.00"),
    ("{{ x | number }}", 1234567.891, "en", "1,234,567.891"),
    ("{{ x | number }}", 1234567.5, "de", "1.234.567,5"),
    ("{{ x | number(2) }}", 3, "en", "3.00"),
    ("{{ x | number(0) }}", 2.5, "fr", "2"),
    ("{{ x | number(digits=1) }}", 1000, "pt-BR", "1.000,0"),
    ("{{ x | date }}", NOON, "en", "June 1, 2026"),
    ("{{ x | date }}", NOON, "en-GB", "1 June 2026"),
    ("{{ x | date }}", NOON, "fr", "1 juin 2026"),
    ("{{ x | date }}", NOON, "ja", "2026年6月1日"),
    ("{{ x | date('Pacific/Auckland') }}", NOON, "en", "June 2, 2026"),
    ("{{ x | date }}", "2026-06-01", "en", "June 1, 2026"),
    ("{{ x | date('Pacific/Auckland') }}", "2026-06-01", "en", "June 1, 2026"),
    ("{{ x | date('Pacific/Auckland') }}", "2026-06-01T23:00:00", "en", "June 1, 2026"),
    ("{{ x | date }}", date(2026, 6, 1), "en", "June 1, 2026"),
    ("{{ x | date('Asia/Tokyo') }}", datetime(2026, 6, 1, 20, tzinfo=UTC), "en", "June 2, 2026"),
    ("{{ x | time }}", NOON, "en", "12:00 PM"),
    ("{{ x | time('Europe/Paris') }}", NOON, "fr", "14:00"),
    ("{{ x | time('America/New_York') }}", "2026-06-01T12:00:00.123456Z", "en", "8:00 AM"),
    ("{{ x | time('Asia/Kolkata') }}", "2026-06-01 12:00:00+00", "en-GB", "17:30"),
    ("{{ x | time }}", "09:30:00", "en", "9:30 AM"),
    ("{{ x | date(zone) }}", NOON, "en", "June 1, 2026"),
]


def printed(source: str, value: Any, locale: str = "en") -> str:
    """Print a value that may be anything through a template of which only that is known."""
    wrapped = (
        source.replace("{{ x", "{{ anything.x")
        .replace("zone)", "anything.zone)")
        .replace(" }}", " | default('NULL') }}")
    )
    return rendered({"subject": wrapped}, locale=locale, anything={"x": value, "zone": None}).subject


@pytest.mark.parametrize(("source", "value", "locale", "expected"), FORMATTED)
def test_values_are_written_as_in_the_readers_locale(source: str, value: Any, locale: str, expected: str) -> None:
    spaces = str.maketrans("\u00a0\u202f", "  ")
    assert expected == printed(source, value, locale).translate(spaces)


@pytest.mark.parametrize("source", [source for source, *_ in FORMATTED])
def test_null_stays_null_for_default_to_catch(source: str) -> None:
    assert printed(source, None) == "NULL"


PLAIN = [
    ("{{ x | upper }}", "ß a", "SS A"),
    ("{{ x | lower }}", "A", "a"),
    ("{{ x | capitalize }}", "ANA maria", "Ana maria"),
    ("{{ x | title }}", "ana-maria o'NEIL (junior)", "Ana-Maria O'neil (Junior)"),
    ("{{ x | trim }}", " a ", "a"),
    ("{{ x | truncate(11) }}", "a long sentence", "a long…"),
    ("{{ x | truncate(11) }}", "short", "short"),
    ("{{ x | truncate(5, '') }}", "incomprehensible", "incom"),
    ("{{ x | round }}", 2.5, "3"),
    ("{{ x | round(1) }}", 2.25, "2.3"),
    ("{{ x | abs }}", -3, "3"),
    ("{{ x | length }}", "abc", "3"),
    ("{{ x | urlencode }}", "a b&c/d?é", "a%20b%26c/d%3F%C3%A9"),
    ("{{ x | first }}", [], "NULL"),
    ("{{ x | last }}", [1, 2], "2"),
    ("{{ x | sort | join(',') }}", ["b", None, "A"], "A,b"),
    ("{{ x | sort(reverse=true) | join(',') }}", [1, 3, 2], "3,2,1"),
    ("{{ x }}", True, "true"),
    ("{{ x }}", 3.0, "3"),
    ("{{ x }}", 0.1, "0.1"),
    ("{{ x }}", Decimal("1E+2"), "100"),
    ("{{ x }}", {"a": [1, "é"]}, '{"a": [1, "é"]}'),
    ("{{ x }}", date(2026, 6, 1), "2026-06-01"),
    ("{{ x }}", UUID(int=7), "00000000-0000-0000-0000-000000000007"),
]


@pytest.mark.parametrize(("source", "value", "expected"), PLAIN)
def test_filters_do_what_their_names_say(source: str, value: Any, expected: str) -> None:
    assert expected == printed(source, value)


def test_every_filter_is_tested_here_or_with_names() -> None:
    named = ["default", "map", "join", "selectattr", "rejectattr", "sum", "reverse", "unique"]
    assert set(FILTERS) == {
        source.split("|")[1].split("(")[0].split()[0] for source, *_ in FORMATTED + PLAIN if "|" in source
    } | set(named)


FAILS = [
    (
        "{{ x | money('USD') }}",
        4.99,
        "money takes whole cents; for an amount with decimals write money(currency, 'major')",
    ),
    ("{{ x | money('dollars') }}", 4, "'dollars' is no currency; it takes three letters, such as USD"),
    ("{{ x | money('USD', 'cents') }}", 4, "money counts in 'minor' or 'major' units, not in 'cents'"),
    ("{{ x | money('USD') }}", "a lot", "money takes a number, and 'a lot' is none"),
    ("{{ x | money('USD') }}", True, "money takes a number, not a bool"),
    ("{{ x | number }}", "NaN", "number takes a finite number, not NaN"),
    ("{{ x | number(99) }}", 1, "number takes 0 to 12 decimals, not 99"),
    ("{{ x | round(99) }}", 1, "round takes 0 to 6 decimals, not 99"),
    ("{{ x | date }}", "tomorrow", "date takes an instant in ISO form, such as 2026-06-01T09:00:00+00:00"),
    ("{{ x | date }}", "09:30:00", "date takes an instant or a date, not a time of day"),
    ("{{ x | date }}", 1780315200000, "date takes an instant, not a int; convert it in the query"),
    ("{{ x | time }}", "2026-06-01", "time takes an instant; a date has no time of day"),
    ("{{ x | date('Europe/Pari') }}", NOON, "'Europe/Pari' is no time zone"),
    ("{{ x | date('../../etc/passwd') }}", NOON, "'../../etc/passwd' is no time zone"),
    ("{{ x * 3 }}", "a", "* takes two numbers"),
    ("{{ 'a' * 10000000000 }}", 1, "* takes two numbers"),
    ("{{ x | sum }}", ["a"], "unsupported operand type(s) for +: 'int' and 'str'"),
]


@pytest.mark.parametrize(("source", "value", "reason"), FAILS)
def test_a_value_that_does_not_fit_fails_that_message_with_a_reason(source: str, value: Any, reason: str) -> None:
    wrapped = source.replace("{{ x", "{{ (anything.x | default(0))").replace(" }}", " | default('') }}")
    with pytest.raises(RenderFailed) as caught:
        rendered({"subject": wrapped}, anything={**VALUES["anything"], "x": value})
    assert f"The subject can't be rendered: {reason}. Correct the text or the row." == str(caught.value)


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ("", "en"),
        ("fr", "fr"),
        ("fr_FR", "fr_FR"),
        ("pt-BR", "pt_BR"),
        ("fr-XX", "fr"),
        ("tlh", "en"),
        ("zh-Hant-TW", "zh_Hant_TW"),
        ("../x", "en"),
        ("en_US.UTF-8", "en_US"),
    ],
)
def test_a_locale_is_the_nearest_that_is_known(tag: str, expected: str) -> None:
    assert expected == str(locale_of(tag))
