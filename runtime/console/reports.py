"""Where a provider reports what became of a mail: `/webhooks/resend`."""

from datetime import UTC, datetime

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from runtime.console.desk import Desk, desk_of
from runtime.console.forms import read_body
from runtime.engagement.resend_reports import receive_report
from runtime.errors import NotAllowed, Temporary, TidingsError

_LONGEST = 262_144


async def resend_report(request: Request) -> Response:
    """Take one report. Whatever is not 2xx, the provider reports again later."""
    desk = desk_of(request)
    if not desk.report_secrets:
        raise HTTPException(404, "Reports are not taken: RESEND_WEBHOOK_SECRET is not set.")
    body = await read_body(request, _LONGEST)
    return await run_in_threadpool(_received, desk, body, dict(request.headers))


def _received(desk: Desk, body: bytes, headers: dict[str, str]) -> Response:
    try:
        received = receive_report(desk.ledger, body, headers, secrets=desk.report_secrets, now=datetime.now(UTC))
    except NotAllowed as error:
        return PlainTextResponse(f"{error}\n", 403)
    except Temporary as error:
        seconds = int(error.retry_after.total_seconds()) if error.retry_after else 60
        return PlainTextResponse(f"{error}\n", 503, {"retry-after": str(seconds)})
    except TidingsError as error:  # it is signed, and can't be read
        return PlainTextResponse(f"{error}\n", 422)
    return PlainTextResponse(f"{received}\n")
