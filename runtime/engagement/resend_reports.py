"""What Resend reports afterwards: delivered, bounced, complained, opened, clicked; signed, late, double."""

import hmac
import json
import re
from base64 import b64decode, b64encode
from binascii import Error as BadBase64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Any

from psycopg import Connection
from psycopg.types.json import Jsonb

from runtime.delivery.recipients import storable
from runtime.errors import NotAllowed, Temporary, TidingsError
from runtime.ledger.database import Ledger
from runtime.ledger.queries import load_queries

_QUERIES = load_queries("runtime.engagement")
_TOLERANCE = timedelta(seconds=300)
_KINDS = {
    f"email.{kind}": kind
    for kind in ("delivered", "bounced", "failed", "suppressed", "opened", "clicked", "complained")
}
_STAMP = re.compile(r"[0-9]{1,12}")
_LONGEST_WORDS = 1_000


class Received(StrEnum):
    """What became of a report."""

    RECORDED = "recorded"
    KNOWN = "known"
    """It came before."""
    IGNORED = "ignored"
    """It says nothing that is kept, or is about a mail that is not of this project."""


@dataclass(frozen=True)
class Report:
    """One report, whose signature was right."""

    id: str
    kind: str
    mail_id: str
    addresses: tuple[str, ...]
    """Lower case."""
    at: datetime
    """When it happened, by Resend's clock."""
    detail: Mapping[str, str]
    suppresses: str
    """bounced or complained: the address must not be written to again; else nothing."""


def receive_report(
    ledger: Ledger, body: bytes, headers: Mapping[str, str], *, secrets: Sequence[str], now: datetime
) -> Received:
    """Check, understand and record one report, in one transaction and once for its id.

    `body` is what came over the wire, `headers` are by lower-case name, `secrets` those that are valid (two, while one
    replaces the other), `now` is the wall clock. Raises NotAllowed for a signature that is wrong or older than five
    minutes, and Temporary for a mail whose sending is not recorded yet: then Resend must report again.
    """
    event_id = check_signature(body, headers, secrets=secrets, now=now)
    report = read_report(event_id, body)
    if report is None:
        return Received.IGNORED
    with ledger.transaction() as conn:
        return _record(conn, ledger.project_id, report)


def check_signature(body: bytes, headers: Mapping[str, str], *, secrets: Sequence[str], now: datetime) -> str:
    """Return the report's id if one of the secrets signed these very bytes not long ago. Raises NotAllowed."""
    event_id, stamp = headers.get("svix-id", ""), headers.get("svix-timestamp", "")
    if not event_id or not _STAMP.fullmatch(stamp) or abs(now - _instant(stamp)) > _TOLERANCE:
        raise NotAllowed("The report has no id, or its time is more than five minutes off. Check this machine's clock.")
    signed = f"{event_id}.{stamp}.".encode() + body
    given = [value.removeprefix("v1,") for value in headers.get("svix-signature", "").split() if value[:3] == "v1,"]
    rights = [b64encode(hmac.digest(_key(secret), signed, sha256)).decode() for secret in secrets]
    if not any(hmac.compare_digest(right.encode(), value.encode()) for right in rights for value in given):
        raise NotAllowed("The report's signature is not right. Check RESEND_WEBHOOK_SECRET.")
    return event_id


def read_report(event_id: str, body: bytes) -> Report | None:
    """Return what a report says, or None when it is of a kind that is not kept."""
    try:
        event = json.loads(body)
        kind = _KINDS.get(event["type"])
        if kind is None:
            return None
        data = event["data"]
        to = [data["to"]] if isinstance(data["to"], str) else data["to"]
        return Report(
            id=event_id,
            kind=kind,
            mail_id=str(data["email_id"]),
            addresses=tuple(str(address).lower() for address in to),
            at=_aware(datetime.fromisoformat(event["created_at"])),
            detail=_detail(kind, data),
            suppresses=_suppresses(kind, data),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise TidingsError(
            f"The report can't be read: {error!r}. Tell Tidings' makers; Resend may have changed."
        ) from error


def _record(conn: Connection[Any], project_id: int, report: Report) -> Received:
    values = {
        "project_id": project_id,
        "addresses": list(report.addresses),
        "provider": "resend",
        "provider_id": report.mail_id,
    }
    found = conn.execute(_QUERIES["find_reported"], values).fetchone()
    if found is None:
        row = conn.execute(_QUERIES["is_under_way"], values).fetchone()
        if row and row[0]:
            raise Temporary("This mail is still being sent. Report again in a while.", timedelta(seconds=60))
        return Received.IGNORED
    message_id, address = found
    event = {
        "project_id": project_id,
        "message_id": message_id,
        "kind": report.kind,
        "at": report.at,
        "detail": Jsonb(dict(report.detail)),
        "event_id": report.id,
    }
    if conn.execute(_QUERIES["record_event"], event).fetchone() is None:
        return Received.KNOWN
    if report.suppresses:
        entry = {"address": address, "reason": report.suppresses, "source": f"resend {report.id}"}
        conn.execute(_QUERIES["suppress"], event | entry)
    return Received.RECORDED


def _detail(kind: str, data: Mapping[str, Any]) -> dict[str, str]:
    """Return the part of a report that is about its kind, as reason and message; for a click, the link."""
    part = data.get({"bounced": "bounce", "clicked": "click"}.get(kind, kind)) or {}
    if kind == "clicked":
        return {"link": _words(part.get("link"))}
    names = {"reason": part.get("subType") or part.get("type") or part.get("reason"), "message": part.get("message")}
    return {name: _words(value) for name, value in names.items() if value}


def _suppresses(kind: str, data: Mapping[str, Any]) -> str:
    if kind == "bounced":
        return "bounced" if str((data.get("bounce") or {}).get("type", "")).lower() == "permanent" else ""
    return "complained" if kind == "complained" else ""


def _words(value: Any) -> str:
    return storable(str(value or ""))[:_LONGEST_WORDS]


def _aware(instant: datetime) -> datetime:
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def _instant(stamp: str) -> datetime:
    return datetime.fromtimestamp(min(int(stamp), 253_402_300_799), UTC)


def _key(secret: str) -> bytes:
    try:
        return b64decode(secret.removeprefix("whsec_"))
    except BadBase64 as error:
        raise NotAllowed("RESEND_WEBHOOK_SECRET can't be used: it needs whsec_ and base64.") from error
