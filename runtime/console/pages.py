"""The pages' templates, and the few words that they need: times, statuses."""

from datetime import datetime
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from starlette.requests import Request
from starlette.responses import HTMLResponse

_ENVIRONMENT = Environment(
    loader=PackageLoader("runtime.console", "pages"),
    autoescape=select_autoescape(),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def page(request: Request, name: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    """Return a page; `here` is the path, by which the navigation knows where it is."""
    return HTMLResponse(_ENVIRONMENT.get_template(name).render(here=request.url.path, **values), status)


def _instant(value: datetime | None) -> str:
    return f"{value:%a %d %b %Y, %H:%M:%S}" if value else ""


_ENVIRONMENT.filters["instant"] = _instant
