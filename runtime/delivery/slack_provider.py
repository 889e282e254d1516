"""Slack messages through its SDK. Slack takes a message as often as it is sent, so nothing is sent on a guess."""

import logging
from collections.abc import Mapping
from datetime import timedelta
from http.client import HTTPException
from typing import Any
from urllib.error import URLError

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError

from runtime.delivery.provider import Accepted, Parked, Uncertain
from runtime.errors import Permanent, Temporary

_REFUSED, _TIMED_OUT, _TOO_MANY, _SERVER = 400, 408, 429, 500
_PERHAPS_DONE = frozenset({"internal_error", "fatal_error"})
"""By Slack's own words, some of the operation may have succeeded."""
_LATER = frozenset({"service_unavailable", "request_timeout", "team_added_to_org", "message_limit_exceeded"})
_LIMITED = frozenset({"ratelimited", "rate_limited"})
_DEFAULT_PAUSE = timedelta(seconds=30)
_quiet = logging.getLogger("tidings.slack")
_quiet.setLevel(logging.CRITICAL)  # the SDK logs what it raises, with the message in it


class SlackProvider:
    """Posts one message at a time as the bot that the token belongs to."""

    name = "slack"
    batch = 1
    idempotency_window = None
    rate = 0.0

    def __init__(
        self, token: str, *, url: str = WebClient.BASE_URL, timeout: timedelta = timedelta(seconds=20)
    ) -> None:
        # No retries of the SDK's own: it sends again when a connection broke after the message had gone out.
        seconds = max(1, round(timeout.total_seconds()))
        self._client = WebClient(token, base_url=url, timeout=seconds, retry_handlers=[], logger=_quiet)

    def send(self, request: Mapping[str, Any], *, key: str) -> Accepted:  # noqa: ARG002  # Slack knows no such keys
        """Post the message. Raises as Provider.send promises."""
        (message,) = request["messages"]
        try:
            answer = self._client.chat_postMessage(channel=message["channel"], text=message["text"])
        except SlackApiError as error:
            raise _classified(error) from error
        except URLError as error:  # raised only until the request has gone out whole
            raise Temporary(f"Slack can't be reached: {error.reason}.") from error
        except (OSError, HTTPException, UnicodeDecodeError, AttributeError) as error:
            # AttributeError is how the SDK meets an answer that is JSON and no object.
            raise Uncertain(f"Slack did not answer: {error or type(error).__name__}.") from error
        except SlackClientError as error:
            raise Permanent(f"Slack can't be asked: {error}. Check SLACK_API_URL.") from error
        return Accepted((f"{answer.get('channel')}/{answer.get('ts')}",))

    def close(self) -> None:
        """Do nothing: each message has a connection of its own."""


def _classified(error: SlackApiError) -> Exception:
    """Return our error for Slack's."""
    status, data = error.response.status_code, error.response.data
    code = str(data.get("error", "")) if isinstance(data, dict) else ""
    said = f"Slack answered {status} {code[:200]}".rstrip()
    if status == _TOO_MANY or code in _LIMITED:
        return Parked(said, _retry_after(error.response.headers))
    if code in _LATER:
        return Temporary(said)
    if _REFUSED <= status < _SERVER and status != _TIMED_OUT:
        return Permanent(said)
    unknown = status >= _SERVER or status == _TIMED_OUT or code in _PERHAPS_DONE or not _is_agreed(data)
    return Uncertain(said) if unknown else Permanent(said)


def _is_agreed(data: Any) -> bool:
    """Return whether this is an answer of Slack's: a flag, and a code where it is false."""
    return isinstance(data, dict) and data.get("ok") is False and str(data.get("error", "")).replace("_", "").isalnum()


def _retry_after(headers: Mapping[str, str]) -> timedelta:
    asked = {name.lower(): value for name, value in headers.items()}.get("retry-after", "")
    return timedelta(seconds=min(int(asked), 86_400)) if asked.isdigit() else _DEFAULT_PAUSE
