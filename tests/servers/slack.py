"""Slack's Web API as its documentation describes it: POST /api/chat.postMessage, status 200 also for refusals."""

import json
import threading
from typing import Any

from tests.servers.far_end import Answer, FarEnd, Fault, Request, answer_json

TOKEN = "xoxb-local-token"
_LONGEST = 40_000


def rate_limited(retry_after: int = 3) -> Fault:
    return Fault(answer_json(429, {"ok": False, "error": "ratelimited"}, retry_after=str(retry_after)))


def refused(error: str, *, takes: bool = False) -> Fault:
    """Status 200 and `ok: false`."""
    return Fault(answer_json(200, {"ok": False, "error": error}), takes=takes)


class SlackServer(FarEnd):
    """A Slack workspace on this machine; `channels` are those that the bot may write to, empty for any."""

    def __init__(self, token: str = TOKEN, channels: frozenset[str] = frozenset()) -> None:
        super().__init__()
        self.token = token
        self.channels = channels
        self.accepted: list[dict[str, Any]] = []
        """The messages that were posted: Slack posts the same one as often as it is asked to."""

    @property
    def api_url(self) -> str:
        return f"{self.url}/api/"

    def respond(self, request: Request, gate: threading.Event | None) -> Answer:
        if gate is not None:
            gate.wait(30)
        if error := self._refusal(request):
            return answer_json(200, {"ok": False, "error": error})
        message = json.loads(request.body)
        self.accepted.append(message)
        self.witness({"provider": "slack", "key": "", "to": message["channel"], "said": message["text"]})
        stamp = f"1790000000.{len(self.accepted):06}"
        return answer_json(200, {"ok": True, "channel": "C0LOCAL", "ts": stamp, "message": {"text": message["text"]}})

    def _refusal(self, request: Request) -> str:
        if request.path != "/api/chat.postMessage":
            return "unknown_method"
        authorization = request.headers.get("authorization", "")
        if authorization != f"Bearer {self.token}":
            return "invalid_auth" if authorization else "not_authed"
        if not request.headers.get("content-type", "").startswith("application/json"):
            return "invalid_post_type"
        return self._problem(json.loads(request.body))

    def _problem(self, message: dict[str, Any]) -> str:
        if not message.get("channel"):
            return "invalid_arguments"
        if self.channels and message["channel"] not in self.channels:
            return "channel_not_found"
        if not message.get("text"):
            return "no_text"
        return "msg_too_long" if len(message["text"]) > _LONGEST else ""
