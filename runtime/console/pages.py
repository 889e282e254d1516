"""The pages' templates, and how they write instants and sentences."""

import re
from datetime import datetime, timedelta
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import HTMLResponse

from runtime.console.desk import desk_of
from runtime.console.standing import read_standing, spoken_duration
from runtime.visible import visible

_ENVIRONMENT = Environment(
    loader=PackageLoader("runtime.console", "pages"),
    autoescape=select_autoescape(default=True),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_CODE = re.compile(r"`([^`\n]+)`")
_INSTANT = re.compile(r"\b\d{4}-\d\d-\d\d \d\d:\d\d(?::\d\d)? UTC\b")


def page(request: Request, name: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    """Return one of the console's own pages, with the project's standing at its top."""
    return bare_page(request, name, status=status, standing=read_standing(desk_of(request)), **values)


def bare_page(request: Request, name: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    """Return a page that needs no database; `here` is the path, by which the navigation knows where it is."""
    given = {"here": request.url.path, "query": request.url.query, "standing": None, **values}
    return HTMLResponse(_ENVIRONMENT.get_template(name).render(given), status)


def _when(value: datetime | None, form: str = "%d %b %Y, %H:%M") -> Markup:
    """Return an instant as a person reads it; the exact one is in its title."""
    if value is None:
        return Markup("")
    exact = f"{value:%A %d %B %Y, %H:%M:%S} UTC"
    said = format(value, form).removeprefix("0")
    return Markup('<time datetime="{}" title="{}">{}</time>').format(value.isoformat(), exact, said)


def _sentence(text: str) -> Markup:
    """Return a sentence of ours, or of the database, with what stands in backticks as code and instants as instants."""
    said = str(escape(visible(text)))
    said = _CODE.sub(r"<code>\1</code>", said)
    return Markup(_INSTANT.sub(r"<time>\g<0></time>", said))  # noqa: S704  # escaped above


def _spoken_age(age: timedelta | None) -> str:
    """Return how long ago something was, in its largest unit; nothing where it was never."""
    return f"{spoken_duration(age.total_seconds()) or '0 seconds'} ago" if age is not None else ""


_ENVIRONMENT.filters |= {"when": _when, "sentence": _sentence, "visible": visible, "spoken_age": _spoken_age}
