"""What a person decides about is shown with every character that is in it."""

import pytest

from runtime.visible import visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[2Jb", "a\\x1b[2Jb"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("bidi \u202e\u2066 turned", "bidi \\u202e\\u2066 turned"),
        ("back\rto the start", "back\\rto the start"),
        ("line\u2028break", "line\\u2028break"),
        ("filler \u3164", "filler \\u3164"),
        ("hidden\U000e0101 text \U000e0041", "hidden\\U000e0101 text \\U000e0041"),
        ("soft\u00adhyphen", "soft\\xadhyphen"),
    ],
)
def test_what_can_not_be_seen_is_written_out(text: str, shown: str) -> None:
    assert visible(text) == shown


@pytest.mark.parametrize("text", ["Grüße 残り", "line\nline", "שלום", "❤️ ✓ “quoted”", "e\u0301"])
def test_what_can_be_seen_stays_as_it_is(text: str) -> None:
    assert visible(text) == text


def test_tabs_become_spaces() -> None:
    assert visible("\tx") == "    x"
