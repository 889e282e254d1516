"""How values of the user's database reach Python: nothing that a JSON encoder for decimals and times can't write."""

from datetime import UTC, date, datetime
from typing import Any

from psycopg import Connection, Cursor
from psycopg.adapt import Loader
from psycopg.errors import DataError
from psycopg.types.datetime import DateLoader, TimestampLoader, TimestamptzLoader
from psycopg.types.string import TextLoader

_EARLIEST = datetime.min.replace(tzinfo=UTC)
_LATEST = datetime.max.replace(tzinfo=UTC)
_AS_TEXT = (
    *("interval", "time", "timetz", "uuid", "inet", "cidr", "bytea", "hstore", "record"),
    *("int4range", "int8range", "numrange", "daterange", "tsrange", "tstzrange"),
    *("int4multirange", "int8multirange", "nummultirange", "datemultirange", "tsmultirange", "tstzmultirange"),
)


def plain_cursor(conn: Connection[Any]) -> Cursor[tuple[Any, ...]]:
    """Return a cursor whose rows hold str, int, float, bool, Decimal, date, aware datetime, list, dict and None only.

    A timestamp without zone counts as UTC. Times that Python can't hold (infinity, after the year 9999, before Christ)
    become the nearest it can. Everything else comes as Postgres writes it: an interval is `1 mon 3 days`, not 33 days.
    """
    cursor = conn.cursor()
    adapters = cursor.adapters
    for name in _AS_TEXT:
        if adapters.types.get(name):
            adapters.register_loader(name, TextLoader)
    adapters.register_loader("date", _Date)
    adapters.register_loader("timestamp", _Timestamp)
    adapters.register_loader("timestamptz", _Timestamptz)
    return cursor


class _Date(Loader):
    """Dates, clamped."""

    def __init__(self, oid: int, context: Any = None) -> None:
        super().__init__(oid, context)
        self._inner = DateLoader(oid, context)

    def load(self, data: Any) -> date:
        try:
            return self._inner.load(data)
        except DataError:
            return date.min if _is_early(data) else date.max


class _Timestamp(Loader):
    """Timestamps without zone, as UTC, clamped."""

    def __init__(self, oid: int, context: Any = None) -> None:
        super().__init__(oid, context)
        self._inner = TimestampLoader(oid, context)

    def load(self, data: Any) -> datetime:
        try:
            return self._inner.load(data).replace(tzinfo=UTC)
        except DataError:
            return _EARLIEST if _is_early(data) else _LATEST


class _Timestamptz(Loader):
    """Instants, in UTC, clamped."""

    def __init__(self, oid: int, context: Any = None) -> None:
        super().__init__(oid, context)
        self._inner = TimestamptzLoader(oid, context)

    def load(self, data: Any) -> datetime:
        try:
            return self._inner.load(data).astimezone(UTC)
        except DataError:
            return _EARLIEST if _is_early(data) else _LATEST


def _is_early(data: Any) -> bool:
    text = bytes(data)
    return text.startswith(b"-") or text.endswith(b"BC")
