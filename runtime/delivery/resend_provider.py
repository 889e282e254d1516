"""E-mail through Resend: its SDK's request, types and errors, on a pooled connection and a key of our own.

The SDK keeps key, address and client in its module, one for the whole process, opens a connection for each request, and
writes a hundred times what a hundred mails share. So how a request travels is ours.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, cast

import httpx
from resend import Batch, Request
from resend.exceptions import ResendError, raise_for_code_and_type
from resend.version import get_version

from runtime.delivery.frozen import Expansion, as_json
from runtime.delivery.provider import Accepted, Parked, Uncertain
from runtime.errors import Permanent, Temporary

_BATCH = 100
_KEPT = timedelta(hours=24)
_MARGIN = timedelta(hours=4)
_QUOTAS = frozenset({"daily_quota_exceeded", "monthly_quota_exceeded"})
_ASK_AGAIN_AFTER_QUOTA = timedelta(hours=1)
_LEAST_QUOTA_PAUSE = timedelta(minutes=10)
_NOT_CONNECTED = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_NEVER_SENT = (httpx.LocalProtocolError, httpx.UnsupportedProtocol, httpx.InvalidURL)


class ResendProvider:
    """Sends batches of up to a hundred mails, each batch once for its key."""

    name = "resend"
    batch = _BATCH
    idempotency_window = _KEPT - _MARGIN

    def __init__(
        self,
        api_key: str,
        *,
        url: str = "https://api.resend.com",
        timeout: timedelta = timedelta(seconds=20),
        connections: int = 16,
        rate: float = 0.0,
    ) -> None:
        self.rate = rate
        seconds = timeout.total_seconds()
        self._client = httpx.Client(
            base_url=url,
            headers={
                "Accept": "application/json",
                "Authorization": f"Bearer {api_key}",
                "User-Agent": f"resend-python:{get_version()}",
            },
            timeout=httpx.Timeout(seconds, connect=min(5.0, seconds), pool=seconds),
            limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
        )

    def send(self, request: Mapping[str, Any], *, key: str) -> Accepted:
        """Send a batch; mails that can't be sent are refused one by one. Raises as Provider.send promises."""
        body = request.json() if isinstance(request, Expansion) else as_json(request["messages"])
        options: Batch.SendOptions = {"idempotency_key": key, "batch_validation": "permissive"}
        try:
            answer = _BatchRequest(self._client, body, options).perform_with_content()
        except ResendError as error:
            raise _classified(error) from error
        except _NOT_CONNECTED as error:
            raise Temporary(f"Resend can't be reached: {error or type(error).__name__}.") from error
        except _NEVER_SENT as error:
            raise Permanent(f"Resend can't be asked: {error}. Check RESEND_API_KEY and RESEND_API_URL.") from error
        except httpx.HTTPError as error:
            raise Uncertain(f"Resend did not answer: {error or type(error).__name__}.") from error
        return _accepted(dict(answer), request.size if isinstance(request, Expansion) else len(request["messages"]))

    def close(self) -> None:
        """Close the pooled connections."""
        self._client.close()


class _BatchRequest(Request[Batch.SendResponse]):
    """The SDK's request for a batch, which travels on the client it was given."""

    def __init__(self, client: httpx.Client, body: bytes, options: Batch.SendOptions) -> None:
        super().__init__(path="/emails/batch", params=[], verb="post", options=cast("dict[str, Any]", options))
        self._client = client
        self._body = body
        self._headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": options["idempotency_key"],
            "x-batch-validation": options["batch_validation"],
        }

    def make_request(self, url: str) -> dict[str, Any]:  # noqa: ARG002  # the SDK's address is the whole process's
        response = self._client.post(self.path, content=self._body, headers=self._headers)
        self._response_status_code = response.status_code
        self._response_headers = dict(response.headers)
        try:
            answer = response.json()
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise_for_code_and_type(
                code=response.status_code if response.is_error or response.is_redirect else 500,
                error_type="application_error",
                message="The answer is not the JSON that was agreed.",
                headers=self._response_headers,
            )
        return answer


def _accepted(answer: Mapping[str, Any], count: int) -> Accepted:
    """Match the ids, which leave out what was refused, to the positions."""
    try:
        refused = {int(entry["index"]): str(entry["message"]) for entry in answer.get("errors") or ()}
        ids = [str(entry["id"]) for entry in answer["data"]]
    except (KeyError, TypeError, ValueError) as error:
        raise Uncertain("Resend answered, but not in the form that was agreed.") from error
    if not refused and len(ids) == count:
        return Accepted(tuple(ids))
    taken = [position for position in range(count) if position not in refused]
    if len(taken) != len(ids) or not set(refused) <= set(range(count)):
        raise Uncertain(f"Resend answered with {len(ids)} ids and {len(refused)} refusals for {count} mails.")
    by_position = dict(zip(taken, ids, strict=True))
    return Accepted(tuple(by_position.get(position, "") for position in range(count)), refused)


def _classified(error: ResendError) -> Exception:
    """Return our error for Resend's: what it means for sending the same request again."""
    code, said = int(error.code), f"Resend answered {error.code} {error.error_type}: {error.message}"
    asked = _seconds(error.headers, "retry-after") or _seconds(error.headers, "ratelimit-reset")
    if error.error_type in _QUOTAS:
        return Parked(said, max(asked or _ASK_AGAIN_AFTER_QUOTA, _LEAST_QUOTA_PAUSE), reason="quota")
    match code:
        case 429:
            return Parked(said, asked or timedelta(seconds=1))
        case 409 if error.error_type == "concurrent_idempotent_requests":
            return Uncertain(said)
        case 408:
            return Uncertain(said)
    return Uncertain(said) if code >= httpx.codes.INTERNAL_SERVER_ERROR else Permanent(said)


def _seconds(headers: Mapping[str, str], name: str) -> timedelta | None:
    try:
        return timedelta(seconds=min(86_400.0, max(0.0, float(headers[name]))))
    except (KeyError, ValueError):
        return None
