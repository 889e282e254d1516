"""Expressions of the user's schema that read the machine's clock, rewritten to read the rehearsal's.

Works on text as Postgres writes it back (`pg_get_expr` and its kin with search_path pg_catalog), which is regular:
functions stand with parentheses, the words of the standard in capitals.
"""

import re

VIRTUAL_NOW = "tidings.virtual_now()"
"""What the scratch database offers instead of now(); see worlds.sql."""

_CALLS = frozenset({"now", "statement_timestamp", "transaction_timestamp", "clock_timestamp"})
_WORDS = {
    "CURRENT_TIMESTAMP": "timestamptz",
    "CURRENT_DATE": "date",
    "CURRENT_TIME": "timetz",
    "LOCALTIMESTAMP": "timestamp",
    "LOCALTIME": "time",
}
_TOKEN = re.compile(
    r"""
      (?P<now>'now'(?=::(?:text|cstring)\b))           # how old servers wrote CURRENT_DATE down
    | (?P<quoted>[eE]?'(?:[^'\\]|''|\\.)*' | "(?:[^"]|"")*")
    | (?<![.\w])(?P<call>[a-z_]+)\(\)             # not somebody's own shop.now()
    | \b(?P<word>CURRENT_TIMESTAMP|CURRENT_DATE|CURRENT_TIME|LOCALTIMESTAMP|LOCALTIME)\b(?P<precision>\(\d\))?
    """,
    re.VERBOSE,
)


def on_virtual_clock(expression: str) -> str:
    """Return the expression with every reading of the clock replaced; one that reads none comes back as it is."""
    return _TOKEN.sub(_replaced, expression)


def _replaced(match: re.Match[str]) -> str:
    if match["now"]:
        return f"({VIRTUAL_NOW})"
    if match["call"] in _CALLS:
        return VIRTUAL_NOW
    if match["word"]:
        return f"({VIRTUAL_NOW})::{_WORDS[match['word']]}{match['precision'] or ''}"
    return match[0]
