"""Who may see the console: whoever came with the token once. Pages for recipients and health need none."""

import hmac

from starlette.datastructures import URL, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runtime.console.desk import Desk

COOKIE = "tidings"
OPEN = ("/unsubscribe/", "/healthz", "/static/")
_PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; frame-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


class Access:
    """Middleware: lets in, sends away, and says in headers what a page may do."""

    def __init__(self, app: ASGIApp, desk: Desk) -> None:
        self._app = app
        self._desk = desk

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer for the page, or pass the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = self._answer(Request(scope))
        await (answer or self._app)(scope, receive, _with_policy(send))

    def _answer(self, request: Request) -> Response | None:
        """Return what to say instead of the page; None when it may be shown."""
        if request.url.path.startswith(OPEN):
            return None
        token = request.query_params.get("token")
        if token is not None:
            return self._let_in(request.url, token)
        if not hmac.compare_digest(request.cookies.get(COOKIE, "").encode(), self._desk.session.encode()):
            return PlainTextResponse(
                "This console needs its token once. Open the address that `tidings up` printed, with ?token=…\n", 401
            )
        if request.method == "POST" and not _is_from_here(request):
            return PlainTextResponse("This form was sent from another site; nothing was done.\n", 403)
        return None

    def _let_in(self, url: URL, token: str) -> Response:
        if not self._desk.opens(token):
            return PlainTextResponse("This is not the console's token. `tidings up` prints the right address.\n", 403)
        response = RedirectResponse(url.remove_query_params("token").path or "/", 303)
        response.set_cookie(COOKIE, self._desk.session, httponly=True, samesite="strict", max_age=30 * 86_400)
        return response


def _is_from_here(request: Request) -> bool:
    """Return whether a form was sent by one of our own pages."""
    origin = request.headers.get("origin")
    return origin is not None and URL(origin).netloc == request.headers.get("host")


def _with_policy(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers.setdefault("content-security-policy", _PAGE_POLICY)
            headers.setdefault("x-content-type-options", "nosniff")
            headers.setdefault("referrer-policy", "no-referrer")
            headers.setdefault("cache-control", "no-store")
        await send(message)

    return sending
