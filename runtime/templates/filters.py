"""The filters and tests of texts: all there are. NULL passes through each of them, as in SQL, for `default` to catch.

Signatures are what an author writes after the value; `runtime.templates.policy` reads them to judge arguments.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from decimal import ROUND_HALF_UP, Decimal
from functools import wraps
from typing import Any, NamedTuple
from urllib.parse import quote

from jinja2 import pass_context
from jinja2.runtime import Context
from jinja2.tests import TESTS as JINJA_TESTS

from runtime.templates import formats
from runtime.templates.values import BadValue, is_null, printed

READER = "_reader"
"""Where a render keeps the Reader; authors can't write names that start with an underscore."""
_WORD = re.compile(r"([-\s({\[<]+)")
_LONGEST, _MOST_DECIMALS = 10_000, 6


class Reader(NamedTuple):
    """How the person who reads a text writes numbers, and which zone times are in."""

    locale: str
    zone: str


def default(value: Any, otherwise: Any = "", empty: bool = False) -> Any:
    """Return what stands in for NULL; with `empty` also for an empty text, zero and false."""
    return otherwise if is_null(value) or (empty and not value) else value


def upper(value: Any) -> str:
    """Print in capitals."""
    return _text(value).upper()


def lower(value: Any) -> str:
    """Print in small letters."""
    return _text(value).lower()


def capitalize(value: Any) -> str:
    """Print with a capital first and small letters after it."""
    return _text(value).capitalize()


def title(value: Any) -> str:
    """Print with a capital at the start of each word."""
    return "".join(word[:1].upper() + word[1:].lower() for word in _WORD.split(_text(value)))


def trim(value: Any) -> str:
    """Print without the spaces around it."""
    return _text(value).strip()


def truncate(value: Any, length: int = 255, end: str = "…") -> str:
    """Cut a text to `length` characters with its `end`, between words where one ends in the last third."""
    text, room = _text(value), max(1, min(int(length), _LONGEST)) - len(end)
    if len(text) <= room + len(end):
        return text
    cut = text[: max(room, 0)]
    space = cut.rfind(" ")
    return (cut[:space] if space >= room * 2 // 3 else cut).rstrip() + end


def round_(value: Any, decimals: int = 0) -> Any:
    """Round half away from zero, as people and Postgres do."""
    if not 0 <= decimals <= _MOST_DECIMALS:
        raise BadValue(f"round takes 0 to {_MOST_DECIMALS} decimals, not {decimals}")
    exact = Decimal(str(value)).quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP)
    return int(exact) if decimals == 0 else exact


def abs_(value: Any) -> Any:
    """Return the amount without its sign."""
    return abs(value)


def length(value: Any) -> int:
    """Return how many characters, rows or members there are."""
    return len(value)


def join(value: Any, by: str = "", attribute: str | None = None) -> str:
    """Join what is not NULL."""
    items = (_member(item, attribute) for item in value)
    return by.join(printed(item, "an item") for item in items if not is_null(item))


def first(value: Any) -> Any:
    """Return the first, or NULL."""
    return next(iter(value), None)


def last(value: Any) -> Any:
    """Return the last, or NULL."""
    return value[-1] if value else None


def sort(value: Any, attribute: str | None = None, reverse: bool = False) -> list[Any]:
    """Sort ignoring case, NULL last."""
    known = [item for item in value if not is_null(_member(item, attribute))]
    unknown = [item for item in value if is_null(_member(item, attribute))]
    return [*sorted(known, key=lambda item: _folded(_member(item, attribute)), reverse=reverse), *unknown]


def reverse(value: Any) -> Any:
    """Return the other way round."""
    return value[::-1]


def unique(value: Any, attribute: str | None = None) -> list[Any]:
    """Keep the first of equals."""
    seen: list[Any] = []
    kept = []
    for item in value:
        member = _member(item, attribute)
        if member not in seen:
            seen.append(member)
            kept.append(item)
    return kept


def sum_(value: Any, attribute: str | None = None) -> Any:
    """Add what is not NULL."""
    return sum(member for item in value if not is_null(member := _member(item, attribute)))


def urlencode(value: Any) -> str:
    """Encode a value as a part of a web address; slashes stay."""
    return quote(printed(value, "a value"), safe="/")


@pass_context
def map_(context: Context, value: Any, filter: str = "", attribute: str | None = None) -> list[Any]:  # noqa: A002
    """Take an attribute of each item, or pass each through a filter."""
    if attribute is not None:
        return [_member(item, attribute) for item in value]
    return [context.environment.call_filter(filter, item, context=context) for item in value]


@pass_context
def selectattr(context: Context, value: Any, attribute: str, test: str = "", *arguments: Any) -> list[Any]:
    """Keep the rows whose column is true, or passes a test."""
    return list(_chosen(context, value, attribute, test, arguments, keep=True))


@pass_context
def rejectattr(context: Context, value: Any, attribute: str, test: str = "", *arguments: Any) -> list[Any]:
    """Leave out the rows whose column is true, or passes a test."""
    return list(_chosen(context, value, attribute, test, arguments, keep=False))


@pass_context
def money(context: Context, value: Any, currency: Any, unit: str = "minor") -> str | None:
    """Print cents as money of a currency; `unit` 'major' for amounts that have decimals."""
    return None if is_null(currency) else formats.money(value, currency, unit=unit, locale=context[READER].locale)


@pass_context
def number(context: Context, value: Any, digits: int | None = None) -> str:
    """Print a number with its separators, and exactly `digits` decimals where they are given."""
    return formats.number(value, digits, locale=context[READER].locale)


@pass_context
def date(context: Context, value: Any, zone: str | None = None) -> str:
    """Print the date, in the project's zone unless another is named."""
    return formats.day(value, zone or context[READER].zone, locale=context[READER].locale)


@pass_context
def time(context: Context, value: Any, zone: str | None = None) -> str:
    """Print the time of day, in the project's zone unless another is named."""
    return formats.clock_time(value, zone or context[READER].zone, locale=context[READER].locale)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else printed(value, "a value")


def _folded(value: Any) -> Any:
    return value.casefold() if isinstance(value, str) else value


def _member(item: Any, attribute: str | None) -> Any:
    """Return a member by its dotted name; None where there is none."""
    for name in attribute.split(".") if attribute else ():
        item = item.get(name) if isinstance(item, dict) else None
    return item


def _chosen(
    context: Context, value: Any, attribute: str, test: str, arguments: Iterable[Any], *, keep: bool
) -> Iterator[Any]:
    for item in value:
        member = _member(item, attribute)
        holds = context.environment.call_test(test, member, [*arguments]) if test else bool(member)
        if bool(holds) == keep:
            yield item


def _passing_null(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a filter that returns NULL for NULL without being asked."""
    place = 1 if getattr(function, "jinja_pass_arg", None) else 0

    @wraps(function)
    def call(*arguments: Any, **named: Any) -> Any:
        return None if is_null(arguments[place]) else function(*arguments, **named)

    return call


_ALL: tuple[Callable[..., Any], ...] = (
    *(upper, lower, capitalize, title, trim, truncate, length, join, first, last, sort, reverse, unique, urlencode),
    *(round_, abs_, sum_, map_, selectattr, rejectattr, money, number, date, time),
)
FILTERS: dict[str, Callable[..., Any]] = {
    "default": default,
    **{str(function.__name__).rstrip("_"): _passing_null(function) for function in _ALL},
}
_PLAIN_TESTS = (
    *("eq", "==", "equalto", "ne", "!=", "gt", ">", "greaterthan", "ge", ">=", "lt", "<", "lessthan", "le", "<="),
    *("in", "odd", "even", "divisibleby", "true", "false", "string", "number", "sequence", "mapping"),
)
TESTS: dict[str, Any] = {
    **{name: JINJA_TESTS[name] for name in _PLAIN_TESTS},
    "none": is_null,
    "defined": lambda value: not is_null(value),
    "undefined": is_null,
}
