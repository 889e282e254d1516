"""Resend as its documentation describes it: POST /emails/batch and GET /emails, strict about what it takes.

`accepted` holds the mails that were taken, by idempotency key; a key that is used again with the same body gets the
first answer, with another body 409, and while the first is still under way 409 too. Fields that the documentation does
not name are refused, so that a test sees a misspelt one.
"""

import json
import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.servers.far_end import Answer, FarEnd, Fault, Request, answer_json

API_KEY = "re_local_key"
_FIELDS = {"from", "to", "subject", "html", "text", "headers", "cc", "bcc", "reply_to", "tags"}
_ADDRESS = re.compile(r"[^\s@<>,;\"]+@[^\s@<>,;\"]+\.[^\s@<>,;\"]+")
_NAMED = re.compile(rf"(.* )?<{_ADDRESS.pattern}>|{_ADDRESS.pattern}")
_MOST, _MOST_RECIPIENTS, _LONGEST_KEY = 100, 50, 256


def rate_limited(retry_after: int = 2) -> Fault:
    body = _problem(429, "rate_limit_exceeded", "Too many requests. You can only make 5 requests per second.")
    headers = {"ratelimit_limit": "5", "ratelimit_remaining": "0", "ratelimit_reset": str(retry_after)}
    return Fault(answer_json(429, body, retry_after=str(retry_after), **headers))


def quota(kind: str = "daily", retry_after: int | None = None) -> Fault:
    body = _problem(429, f"{kind}_quota_exceeded", f"You have reached your {kind} email quota.")
    return Fault(answer_json(429, body, **({} if retry_after is None else {"retry_after": str(retry_after)})))


def refused(status: int, name: str, message: str = "No.", *, takes: bool = False) -> Fault:
    """An error of the documented form."""
    return Fault(answer_json(status, _problem(status, name, message)), takes=takes)


class ResendServer(FarEnd):
    """A Resend account on this machine."""

    def __init__(self, api_key: str = API_KEY) -> None:
        super().__init__()
        self.api_key = api_key
        self.accepted: dict[str, list[dict[str, Any]]] = {}
        self._answers: dict[str, tuple[bytes, Answer]] = {}
        self._under_way: set[str] = set()
        self._taken = 0
        self._listed: list[dict[str, Any]] = []
        self._lock = threading.Lock()

    @property
    def mails(self) -> list[dict[str, Any]]:
        """Every mail that was taken, in the order in which they were."""
        return [mail for mails in self.accepted.values() for mail in mails]

    def respond(self, request: Request, gate: threading.Event | None) -> Answer:
        if problem := self._entrance(request):
            return problem
        if request.method == "GET":
            return self._list(dict(parse_qsl(urlsplit(request.path).query, keep_blank_values=True)))
        key = request.headers.get("idempotency-key", "")
        with self._lock:
            if key in self._under_way:
                return _refusal(409, "concurrent_idempotent_requests", "Another request with the key is in progress.")
            if key in self._answers:
                body, answer = self._answers[key]
                same = json.loads(body) == json.loads(request.body)
                if same:
                    return answer
                self.witness({"altered": key})
                return _refusal(409, "invalid_idempotent_request", "The key has another body.")
            self._under_way.add(key)
        try:
            if gate is not None:
                gate.wait(30)
            return self._take(key, request)
        finally:
            self._under_way.discard(key)

    def forget_keys(self) -> None:
        """Let the time pass after which a key is new again, and the same request would be taken twice."""
        with self._lock:
            self._answers.clear()

    def _entrance(self, request: Request) -> Answer | None:
        """Refuse whoever does not say who they are, and what is no request for a batch."""
        authorization = request.headers.get("authorization", "")
        if not authorization.startswith("Bearer "):
            return _refusal(401, "missing_api_key", "Missing API key in the authorization header.")
        if authorization != f"Bearer {self.api_key}":
            return _refusal(403, "invalid_api_key", "API key is invalid.")
        if not request.headers.get("user-agent"):
            return Answer(403, b"error code: 1010", {"content-type": "text/plain"})
        if (request.method, urlsplit(request.path).path) not in {("POST", "/emails/batch"), ("GET", "/emails")}:
            return _refusal(404, "not_found", "The requested endpoint does not exist.")
        key = request.headers.get("idempotency-key")
        if key is not None and not 1 <= len(key) <= _LONGEST_KEY:
            return _refusal(400, "invalid_idempotency_key", "The key must be between 1-256 chars.")
        return None

    def _list(self, query: dict[str, str]) -> Answer:
        """The mails that were taken, the newest first; `after` and `before` are ids, and only one of them is given."""
        if unknown := set(query) - {"limit", "after", "before"}:
            return _refusal(422, "validation_error", f"Unknown parameters {sorted(unknown)}.")
        limit = query.get("limit", "20")
        if not limit.isdigit() or not 1 <= int(limit) <= _MOST or {"after", "before"} <= set(query):
            return _refusal(422, "validation_error", "The limit must be between 1 and 100, with one cursor at most.")
        with self._lock:
            places = {mail["id"]: place for place, mail in enumerate(self._listed)}
            if missing := [name for name in ("after", "before") if name in query and query[name] not in places]:
                return _refusal(422, "validation_error", f"The {missing[0]} is no id of an email.")
            start = places[query["after"]] + 1 if "after" in query else 0
            end = places[query["before"]] if "before" in query else len(self._listed)
            page = self._listed[start : min(end, start + int(limit))]
        return answer_json(200, {"object": "list", "has_more": start + len(page) < end, "data": page})

    def _take(self, key: str, request: Request) -> Answer:
        mails = json.loads(request.body)
        if not isinstance(mails, list) or not 1 <= len(mails) <= _MOST:
            return _refusal(422, "validation_error", "The batch must have between 1 and 100 emails.")
        bad = {index: found for index, mail in enumerate(mails) if (found := next(_problems(mail), None))}
        permissive = request.headers.get("x-batch-validation") == "permissive"
        if bad and not permissive:
            return _refusal(422, "validation_error", next(iter(bad.values())))
        good = [mail for index, mail in enumerate(mails) if index not in bad]
        with self._lock:
            ids = [{"id": f"mail-{self._taken + number}"} for number in range(len(good))]
            self._taken += len(good)
            now = datetime.now(UTC)
            self._listed[:0] = [_listing(mail, given["id"], now) for mail, given in zip(good, ids, strict=True)][::-1]
            self.accepted.setdefault(key or f"(no key {len(self.accepted)})", []).extend(good)
            for mail in good:
                self.witness({"provider": "resend", "key": key, "to": mail["to"][0], "said": mail["subject"]})
        errors = [{"index": index, "message": message} for index, message in bad.items()]
        answer = answer_json(200, {"data": ids, **({"errors": errors} if permissive else {})})
        if key:
            self._answers[key] = (request.body, answer)
        return answer


def _listing(mail: dict[str, Any], mail_id: str, at: datetime) -> dict[str, Any]:
    """What the list says of a mail; headers and keys are not in it."""
    to = [mail["to"]] if isinstance(mail["to"], str) else mail["to"]
    said = {name: mail.get(name) for name in ("from", "subject", "bcc", "cc", "reply_to")}
    written = at.isoformat(sep=" ").replace("+00:00", "+00")
    return {"id": mail_id, "to": to, **said, "created_at": written, "last_event": "sent", "scheduled_at": None}


def _problems(mail: Any) -> Iterator[str]:
    """Yield what Resend would say about one mail."""
    if not isinstance(mail, dict):
        yield "An email must be an object."
        return
    if unknown := set(mail) - _FIELDS:
        yield f"Unknown fields {sorted(unknown)}."
    if not isinstance(mail.get("from"), str) or not _NAMED.fullmatch(mail["from"]):
        yield "Invalid `from` field. It needs `email@example.com` or `Name <email@example.com>`."
    to = [mail["to"]] if isinstance(mail.get("to"), str) else mail.get("to") or []
    if not 1 <= len(to) <= _MOST_RECIPIENTS or not all(_NAMED.fullmatch(address) for address in to):
        yield "Invalid `to` field. It needs `email@example.com` or `Name <email@example.com>`."
    if any(address.endswith(("@example.com", "@example.com>")) for address in to):
        yield "Invalid `to` field. Please use our testing email address instead of domains like `example.com`."
    if not isinstance(mail.get("subject"), str) or not mail["subject"]:
        yield "Missing `subject` field."
    if not mail.get("html") and not mail.get("text"):
        yield "Missing `html` or `text` field."
    for name, value in (mail.get("headers") or {}).items():
        if not isinstance(value, str) or not f"{name}{value}".isprintable():
            yield f"Invalid header {name!r}."


def _problem(status: int, name: str, message: str) -> dict[str, Any]:
    return {"statusCode": status, "name": name, "message": message}


def _refusal(status: int, name: str, message: str) -> Answer:
    return answer_json(status, _problem(status, name, message))
