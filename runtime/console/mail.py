"""A mail in a frame: it may run nothing, send nothing, and reach nothing but pictures."""

from typing import Literal

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from runtime.templates.preview import as_document

POLICY = (
    "sandbox; default-src 'none'; img-src https: data:; style-src 'unsafe-inline'; form-action 'none'; "
    "base-uri 'none'; frame-ancestors 'self'"
)


def mail_frame(request: Request, html: str) -> Response:
    """Return a mail's HTML for a frame of one of our pages; `?scheme=dark` shows its dark side."""
    scheme: Literal["light", "dark"] = "dark" if request.query_params.get("scheme") == "dark" else "light"
    return HTMLResponse(as_document(html, scheme), headers={"content-security-policy": POLICY})
