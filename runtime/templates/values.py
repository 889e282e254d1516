"""Values on their way into a text: what is printed of them, and what can never be."""

import json
import re
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, NoReturn
from uuid import UUID

from jinja2 import ChainableUndefined

_INVISIBLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufff9-\ufffb]")
"""Control characters, and the marks that turn the reading direction of what follows (a sender's name, a file's end)."""
_LINES = re.compile(r" *[\x00-\x1f\x7f-\x9f\u2028\u2029]+ *")
_WHOLE = 1e15
_LONGEST_LINE = 900


class BadValue(ValueError):  # noqa: N818  # the family of Permanent: a row's value a text can't print
    """A value can't be printed as the text asks; the message says why, in a sentence without its full stop."""


class Missing(ChainableUndefined):
    """Stands where there is no such member: false and equal to nothing in conditions, an error when printed."""

    __slots__ = ()

    def _missing(self) -> BadValue:
        return BadValue(f"{self._undefined_name or 'a value'} is missing")

    def __str__(self) -> str:
        raise self._missing()

    def __html__(self) -> str:
        raise self._missing()

    def __iter__(self) -> NoReturn:
        raise self._missing()

    def __len__(self) -> int:
        raise self._missing()


def is_null(value: object) -> bool:
    """Return whether a value is NULL, or a member that is not there."""
    return value is None or isinstance(value, Missing)


def printed(value: Any, name: str) -> str:
    """Return what a text prints for a value called `name`; raises BadValue for NULL and for what is no value.

    Invisible control characters are left out. Nothing is escaped: that depends on the place.
    """
    if type(value) is str:  # most values, and told apart without a search
        return value if value.isprintable() else without_controls(value)
    for kinds, write in _WRITERS:
        if isinstance(value, kinds):
            return write(value)
    if is_null(value):
        raise BadValue(f"{name} is NULL, and the text has no default for that")
    raise BadValue(f"{name} is a {type(value).__name__}, which can't be printed")


def without_controls(text: str) -> str:
    """Return a text without control characters and without marks that turn the reading direction; line breaks stay."""
    if text.isprintable():
        return text
    return _INVISIBLE.sub("", text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text)


def has_controls(text: str) -> bool:
    """Return whether a text holds invisible characters that people don't mean to write."""
    return bool(_INVISIBLE.search(text.replace("\r", "\n")))


def one_line(text: str) -> str:
    """Return a text that is safe as the value of a mail header, however it is encoded later.

    One line of at most 900 characters, without control characters, and with no start of an encoded word (`=?`), which
    a mail library would decode into new header lines.
    """
    line = text if text.isprintable() else without_controls(_LINES.sub(" ", text))
    return line.replace("=?", "= ?")[:_LONGEST_LINE].strip()


def _float(value: float) -> str:
    return str(int(value)) if value.is_integer() and abs(value) < _WHOLE else repr(value)


def _structure(value: Any) -> str:
    return without_controls(json.dumps(value, ensure_ascii=False, default=str))


_WRITERS: tuple[tuple[Any, Callable[[Any], str]], ...] = (
    (str, without_controls),
    (bool, lambda value: "true" if value else "false"),
    (int, str),
    (float, _float),
    (Decimal, lambda value: format(value, "f")),
    ((datetime, date, time), lambda value: str(value.isoformat())),
    (UUID, str),
    ((dict, list, tuple), _structure),
)
