"""Signed links: what a person unsubscribes from, readable by this project alone, for ever.

The token is the sealed text itself (a synthetic IV, as in RFC 5297, made with HMAC and SHAKE), so nothing is stored,
the address does not show in links and logs, and the same person and topic always have the same link.
"""

import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as BadBase64
from dataclasses import dataclass
from hashlib import shake_256

from runtime.errors import NotFound

_SEAL = 16


@dataclass(frozen=True)
class Subscription:
    """What a link is about."""

    project_id: int
    address: str
    """Lower case."""
    topic: str
    """Empty: everything but transactional mail."""


def sign_unsubscribe(secret: bytes, project_id: int, address: str, topic: str) -> str:
    """Return a token for a link; the same for the same arguments, letters, digits, - and _ only."""
    text = json.dumps([project_id, address.lower(), topic], ensure_ascii=False, separators=(",", ":")).encode()
    seal = _seal(secret, text)
    return urlsafe_b64encode(seal + _masked(secret, seal, text)).rstrip(b"=").decode()


def read_unsubscribe(secret: bytes, token: str) -> Subscription:
    """Return what the token was made for. Raises NotFound for every other text."""
    try:
        data = urlsafe_b64decode(token.encode("ascii") + b"=" * (-len(token) % 4))
    except (BadBase64, ValueError) as error:
        raise _not_ours() from error
    seal, masked = data[:_SEAL], data[_SEAL:]
    text = _masked(secret, seal, masked)
    if not hmac.compare_digest(seal, _seal(secret, text)):
        raise _not_ours()
    project_id, address, topic = json.loads(text)
    return Subscription(project_id, address, topic)


def unsubscribe_link(public_url: str, token: str) -> str:
    """Return where the console answers for a token: GET shows a page, POST unsubscribes."""
    return f"{public_url}/unsubscribe/{token}"


def _seal(secret: bytes, text: bytes) -> bytes:
    return hmac.digest(secret, b"unsubscribe seal\0" + text, "sha256")[:_SEAL]


def _masked(secret: bytes, seal: bytes, text: bytes) -> bytes:
    """Return the text under a key stream of its own; applied twice, it is the text again."""
    key = hmac.digest(secret, b"unsubscribe mask\0" + seal, "sha256")
    stream = shake_256(key).digest(len(text))
    return (int.from_bytes(text) ^ int.from_bytes(stream)).to_bytes(len(text))


def _not_ours() -> NotFound:
    return NotFound("This unsubscribe link is not complete, or not from here. Open it again from the message.")
