"""What Resend says that it has taken: its list of sent mails, the newest first.

The list names sender, recipients, subject and time of each, and neither headers nor idempotency keys: so a mail found
there fits a message, and that is all that can be said.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import httpx

from runtime.errors import Permanent, Temporary

_PAGE = 100
_MOST_PAGES = 200
_PATIENCE = 20
"""Times that a limit on requests is waited for, in a row."""
_LONGEST_WAIT = timedelta(seconds=10)


@dataclass(frozen=True)
class ListedMail:
    """A mail that Resend took."""

    id: str
    sender: str
    to: tuple[str, ...]
    subject: str
    at: datetime


def listed_since(
    since: datetime, *, api_key: str, url: str, sleep: Callable[[float], None] = time.sleep
) -> Iterator[ListedMail]:
    """Yield the mails that were taken since an instant, the newest first, page by page.

    Raises Temporary when Resend does not answer, or lists more than 20,000 mails since then; Permanent when it refuses.
    """
    headers = {"Authorization": f"Bearer {api_key}", "User-Agent": "tidings"}
    with httpx.Client(base_url=url, headers=headers, timeout=20) as client:
        after = ""
        for _ in range(_MOST_PAGES):
            page = _page(client, after, sleep)
            for mail in map(_read, page["data"]):
                if mail.at < since:
                    return
                yield mail
            if not page["has_more"] or not page["data"]:
                return
            after = str(page["data"][-1]["id"])
    raise Temporary(
        f"Resend lists more than {_PAGE * _MOST_PAGES:,} mails since {since:%Y-%m-%d %H:%M}. Narrow the window."
    )


def _page(client: httpx.Client, after: str, sleep: Callable[[float], None]) -> Mapping[str, Any]:
    for _ in range(_PATIENCE):
        try:
            answer = client.get("/emails", params={"limit": _PAGE} | ({"after": after} if after else {}))
        except httpx.HTTPError as error:
            raise Temporary(f"Resend can't be asked: {error or type(error).__name__}. Try again.") from error
        if answer.status_code != httpx.codes.TOO_MANY_REQUESTS:
            return _answered(answer)
        sleep(min(_LONGEST_WAIT.total_seconds(), _seconds(answer.headers.get("retry-after", ""))))
    raise Temporary("Resend limits requests and keeps doing so. Try again later.")


def _answered(answer: httpx.Response) -> Mapping[str, Any]:
    if answer.is_server_error:
        raise Temporary(f"Resend answered {answer.status_code}. Try again.")
    try:
        body = answer.json()
    except ValueError as error:
        raise Temporary("Resend answered, but not in the form that was agreed. Try again.") from error
    if answer.is_error:
        said = body.get("message", "") if isinstance(body, dict) else ""
        raise Permanent(f"Resend refuses to list mails: {answer.status_code} {said} Its key needs full access.")
    if not isinstance(body, dict) or not isinstance(body.get("data"), list):
        raise Temporary("Resend answered, but not in the form that was agreed. Try again.")
    return {"data": body["data"], "has_more": bool(body.get("has_more"))}


def _read(entry: Mapping[str, Any]) -> ListedMail:
    try:
        to = entry["to"] if isinstance(entry["to"], list) else [entry["to"]]
        return ListedMail(
            id=str(entry["id"]),
            sender=str(entry["from"]),
            to=tuple(map(str, to)),
            subject=str(entry["subject"]),
            at=datetime.fromisoformat(str(entry["created_at"])),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise Temporary("Resend lists a mail in a form that was not agreed. Try again.") from error


def _seconds(text: str) -> float:
    try:
        return max(0.0, float(text))
    except ValueError:
        return 1.0
