"""What a form of ours brings: few, short fields."""

from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.requests import Request

_LONGEST = 16_384
_MOST_FIELDS = 20


async def read_form(request: Request) -> dict[str, str]:
    """Return the fields of a form. Raises for what no form of ours sends, without reading all of it."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise HTTPException(415, "This page takes only its own form.")
    try:
        return dict(parse_qsl((await read_body(request, _LONGEST)).decode(), max_num_fields=_MOST_FIELDS))
    except ValueError as error:
        raise HTTPException(400, "The form can't be read. Open the page again.") from error


async def read_body(request: Request, longest: int) -> bytes:
    """Return a request's body, or raise as soon as it is longer than that many bytes."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > longest:
            raise HTTPException(413, f"That is more than {longest:,} bytes.")
    return body
