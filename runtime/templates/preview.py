"""A rendered mail for a page that shows it in one scheme, whatever the reader of the page prefers."""

import re
from typing import Literal

_DARK = re.compile(r"@media \(prefers-color-scheme:\s*dark\)")


def as_document(html: str, scheme: Literal["light", "dark"]) -> str:
    """Return a mail's HTML as it looks in a scheme: for an iframe or a picture, never for sending."""
    return _DARK.sub("@media all" if scheme == "dark" else "@media not all", html)
