"""Who may see the console: whoever came with the token once. Pages for recipients and health need none."""

import hmac
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runtime.console.desk import Desk
from runtime.console.pages import bare_page

OPEN = ("/unsubscribe/", "/webhooks/", "/healthz", "/static/")
"""What needs no token: it knows its own secrets, or none."""
SAFE = ("GET", "HEAD")
_LOCAL = ("127.0.0.1", "localhost", "::1")
_PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; frame-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": _PAGE_POLICY,
    "x-content-type-options": "nosniff",
    # Not no-referrer: with that, browsers do not say where a form comes from, and it would be refused.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
_THIRTY_DAYS = 30 * 86_400


class Access:
    """Middleware: lets in or sends away."""

    def __init__(self, app: ASGIApp, desk: Desk) -> None:
        self._app = app
        self._desk = desk

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer for the page, or pass the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = self._answer(Request(scope))
        await (answer or self._app)(scope, receive, send)

    def _answer(self, request: Request) -> Response | None:
        """Return what to say instead of the page; None when it may be shown."""
        host, is_open = _host(request), request.url.path.startswith(OPEN)
        if host not in (*_LOCAL, self._desk.host) and not (is_open and host and host == self._desk.public_host):
            return bare_page(request, "door.html", status=421, why="host")
        if is_open or self._is_scrape(request):
            return None
        token = request.query_params.get("token")
        if token is not None:
            return self._let_in(request, token)
        shown = request.cookies.get(cookie_name(request), "")
        if not hmac.compare_digest(shown.encode(), self._desk.session.encode()):
            is_followed = request.headers.get("sec-fetch-site") == "cross-site" and request.method in SAFE
            return bare_page(request, "door.html", status=401, why="link" if is_followed else "token")
        if request.method not in SAFE and not _is_from_here(request):
            return bare_page(request, "door.html", status=403, why="origin")
        return None

    def _is_scrape(self, request: Request) -> bool:
        """Return whether it asks for the metrics, and came with their own token."""
        return request.url.path == "/metrics" and request.method in SAFE and self._desk.scrapes(request)

    def _let_in(self, request: Request, token: str) -> Response:
        """Give the browser a cookie instead of the token, and send it to the same page without it."""
        if not self._desk.opens(token):
            return bare_page(request, "door.html", status=403, why="wrong")
        rest = request.url.remove_query_params("token")
        response = RedirectResponse(local_path(rest.path, rest.query), 303)
        response.set_cookie(
            cookie_name(request), self._desk.session, httponly=True, samesite="strict", max_age=_THIRTY_DAYS
        )
        return response


def with_policy(app: ASGIApp) -> ASGIApp:
    """Return an app whose every answer, also to a crash, says in its headers what a page of it may do."""

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await app(scope, receive, sending)

    return guarded


def cookie_name(request: Request) -> str:
    """Return the cookie's name: consoles on several ports of one machine share their cookies, but not the name."""
    return f"tidings-{request.url.port or 80}"


def local_path(path: str, query: str = "") -> str:
    """Return a path that stays on this host, whatever stands in it."""
    return f"/{path.lstrip('/')}{f'?{query}' if query else ''}"


def _host(request: Request) -> str:
    try:
        return urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
    except ValueError:  # a bracket that is not closed
        return ""


def _is_from_here(request: Request) -> bool:
    """Return whether a form was sent by one of our own pages; a page that doesn't say where it is from is not."""
    _, separator, origin = request.headers.get("origin", "").partition("://")
    return bool(separator) and origin == request.headers.get("host")
