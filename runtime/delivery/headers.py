"""What stands in a mail's headers: guarded against injection, and the marks of an automatic, unsubscribable mail."""

import hmac
import re
from email.headerregistry import Address
from email.utils import parseaddr

from runtime.delivery.address import BadAddress, normal_email

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_LONGEST = 900
ONE_CLICK = "List-Unsubscribe=One-Click"
"""What List-Unsubscribe-Post says beside it."""


def header_value(value: str) -> str:
    """Return a value that can't end its header or begin another one, in any number of decodings."""
    if len(value) <= _LONGEST and "=?" not in value and value.isprintable():
        return value.strip()
    return _CONTROL.sub(" ", value).replace("=?", "= ?")[:_LONGEST].strip()


def sender_address(sender: str) -> Address:
    """Return `Name <address>` as its parts, guarded. Raises BadAddress, which names the setting."""
    name, address = parseaddr(header_value(sender))
    try:
        return Address(display_name=name, addr_spec=normal_email(address))
    except BadAddress as error:
        raise BadAddress(f"TIDINGS_SENDER can't be used: {error}") from error


def message_id(secret: bytes, domain: str, *parts: object) -> str:
    """Return the Message-ID of one message: the same on each attempt, and no other message's."""
    return f"<{digest(secret, 'message', *parts)[:40]}@{domain}>"


def digest(secret: bytes, *parts: object) -> str:
    """Return 64 hexadecimal digits that stand for these parts, and for no others, in this project alone."""
    text = "".join([f"{len(part)}:{part}" for part in map(str, parts)])
    return hmac.digest(secret, text.encode(), "sha256").hex()


def mail_headers(mail_id: str, unsubscribe: str) -> dict[str, str]:
    """Return the headers of one mail; with a link, those for unsubscribing with one click (RFC 8058)."""
    headers = {"Message-ID": header_value(mail_id), "Auto-Submitted": "auto-generated"}
    if unsubscribe:
        headers |= {"List-Unsubscribe": way_out(unsubscribe), "List-Unsubscribe-Post": ONE_CLICK}
    return headers


def way_out(link: str) -> str:
    """Return what the header List-Unsubscribe says for a link."""
    return header_value(f"<{link}>")
