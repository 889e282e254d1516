"""Money, numbers, dates and times as people of a locale write them."""

import re
from datetime import date, datetime, time, tzinfo
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_time
from babel.numbers import format_currency, format_decimal, get_currency_precision

from runtime.templates.values import BadValue

_CURRENCY = re.compile(r"^[A-Z]{3}$")
_DATE_ONLY = 10
_MOST_DIGITS = 12


@lru_cache(maxsize=1024)
def locale_of(tag: str) -> Locale:
    """Return the locale of a language tag such as `fr` or `pt-BR`: the nearest that is known, else English."""
    parts = tag.strip().replace("-", "_").split("_")
    while parts != [""] and parts:
        try:
            return Locale.parse("_".join(parts))
        except (UnknownLocaleError, ValueError):
            parts.pop()
    return Locale("en")


@lru_cache(maxsize=256)
def zone_of(name: str) -> ZoneInfo:
    """Return the zone of an IANA name; raises BadValue when there is none of that name."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise BadValue(f"{name!r} is no time zone") from None


def money(amount: Any, currency: Any, *, unit: str, locale: str) -> str:
    """Return an amount with its currency: 4000 and USD are $40.00 where the unit is `minor`, $4,000.00 for `major`.

    A minor amount is a whole number of the currency's smallest unit (cents; yen, which have none).
    """
    code = str(currency).strip().upper()
    if not _CURRENCY.match(code):
        raise BadValue(f"{currency!r} is no currency; it takes three letters, such as USD")
    if unit not in {"minor", "major"}:
        raise BadValue(f"money counts in 'minor' or 'major' units, not in {unit!r}")
    return _money(_decimal(amount, "money"), code, unit, locale)


@lru_cache(maxsize=4096)
def _money(amount: Decimal, code: str, unit: str, locale: str) -> str:
    if unit == "minor":
        if amount != amount.to_integral_value():
            raise BadValue("money takes whole cents; for an amount with decimals write money(currency, 'major')")
        amount = amount.scaleb(-get_currency_precision(code))
    written = str(format_currency(amount, code, locale=locale_of(locale)))
    # A currency without a sign of its own stands apart from its number; Babel writes them together.
    return re.sub(rf"{code}(?=\d)", f"{code}\u00a0", written)


def number(value: Any, digits: int | None, *, locale: str) -> str:
    """Return a number with the locale's separators; with `digits`, exactly that many decimals."""
    amount = _decimal(value, "number")
    if digits is None:
        return str(format_decimal(amount, locale=locale_of(locale), decimal_quantization=False))
    if not 0 <= digits <= _MOST_DIGITS:
        raise BadValue(f"number takes 0 to {_MOST_DIGITS} decimals, not {digits}")
    pattern = "#,##0" + "." * bool(digits) + "0" * digits
    return str(format_decimal(amount, format=pattern, locale=locale_of(locale)))


def day(value: Any, zone: str, *, locale: str) -> str:
    """Return the date of an instant in a zone, or of a date or local timestamp as it is: June 1, 2026."""
    moment = _moment(value, zone_of(zone), "date")
    if isinstance(moment, time):
        raise BadValue("date takes an instant or a date, not a time of day")
    return str(format_date(moment, "long", locale=locale_of(locale)))


def clock_time(value: Any, zone: str, *, locale: str) -> str:
    """Return the time of day of an instant in a zone, or of a local timestamp as it is: 9:00 AM."""
    moment = _moment(value, zone_of(zone), "time")
    if isinstance(moment, date) and not isinstance(moment, datetime):
        raise BadValue("time takes an instant; a date has no time of day")
    local = moment.time() if isinstance(moment, datetime) else moment
    # Some fonts lack the narrow space that CLDR puts before AM and PM.
    return str(format_time(local, "short", locale=locale_of(locale))).replace("\u202f", " ")


def _moment(value: Any, zone: tzinfo, what: str) -> datetime | date | time:
    """Return an instant as it is in the zone; what bears no zone stays what it is."""
    moment = _read(value, what) if isinstance(value, str) else value
    if isinstance(moment, datetime):
        return moment.astimezone(zone) if moment.tzinfo else moment
    if isinstance(moment, date | time):
        return moment
    raise BadValue(f"{what} takes an instant, not a {type(value).__name__}; convert it in the query")


def _read(text: str, what: str) -> datetime | date | time:
    """Read what Postgres writes into JSON: an ISO date, timestamp or time."""
    kind: Any = datetime
    if len(text) == _DATE_ONLY and text.count("-") == 2:  # noqa: PLR2004  # YYYY-MM-DD
        kind = date
    elif "-" not in text[:5]:
        kind = time
    try:
        moment: datetime | date | time = kind.fromisoformat(text.strip())
    except ValueError:
        raise BadValue(f"{what} takes an instant in ISO form, such as 2026-06-01T09:00:00+00:00") from None
    return moment


def _decimal(value: Any, what: str) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
        raise BadValue(f"{what} takes a number, not a {type(value).__name__}")
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        raise BadValue(f"{what} takes a number, and {str(value)[:20]!r} is none") from None
    if not amount.is_finite():
        raise BadValue(f"{what} takes a finite number, not {value}")
    return amount
