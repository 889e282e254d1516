"""A frozen mail as the bytes that SMTP carries: seven-bit, short lines, the same bytes each time."""

import re
from collections.abc import Mapping
from email.headerregistry import Address, HeaderRegistry, UnstructuredHeader
from email.message import EmailMessage
from email.policy import SMTP, Policy
from email.utils import parseaddr
from typing import Any

from runtime.delivery.headers import header_value

_UNSAFE = re.compile(r"[^0-9A-Za-z]")
_LONGEST_BOUNDARY = 60


class _Verbatim(UnstructuredHeader):
    """A header that is one long word, such as a link: folded, it would be encoded, and no mail program reads that."""

    name: str
    max_count = 1

    def fold(self, *, policy: Policy) -> str:
        """Return the header on one line."""
        return f"{self.name}: {self}{policy.linesep}"


_HEADERS = HeaderRegistry()
for _name in ("list-unsubscribe", "list-unsubscribe-post", "message-id"):
    _HEADERS.map_to_type(_name, _Verbatim)  # type: ignore[arg-type]  # mixed into BaseHeader there
_WIRE = SMTP.clone(header_factory=_HEADERS)


def mime_bytes(mail: Mapping[str, Any]) -> bytes:
    """Return a mail of a frozen request, ready for DATA but for its dots."""
    message = EmailMessage(policy=_WIRE)
    name, address = parseaddr(mail["from"])
    message["From"] = Address(display_name=header_value(name), addr_spec=address)
    message["To"] = [Address(addr_spec=to) for to in mail["to"]]
    message["Subject"] = header_value(mail["subject"])
    for header, value in mail["headers"].items():
        message[header] = header_value(value)
    message.set_content(mail["text"], cte="quoted-printable")
    if mail["html"]:
        message.add_alternative(mail["html"], subtype="html", cte="quoted-printable")
        message.set_boundary(f"=_{_UNSAFE.sub('', mail['headers']['Message-ID'])[:_LONGEST_BOUNDARY]}")
    return message.as_bytes()
