"""Where a link may lead: an address whose scheme and host the author wrote; values stand in its path or query only."""

import re

from runtime.templates.marks import Marks

_WEB = re.compile(r"^https?://(?P<host>[^/?#]+)(?P<rest>[/?#].*)?$", re.IGNORECASE | re.DOTALL)
_MAIL = re.compile(r"^mailto:(?P<host>[^?]+)(?P<rest>\?.*)?$", re.IGNORECASE | re.DOTALL)
_HOST = re.compile(r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:\d{1,5})?$", re.IGNORECASE)
_ADDRESS = re.compile(r"^[a-z0-9._%+-]+@[a-z0-9][a-z0-9.-]*$", re.IGNORECASE)
_PRINTABLE = re.compile(r"^[\x21-\x7e]+$")
_VAGUE = frozenset(
    (
        *("here", "click here", "click", "link", "this link", "this", "read more", "more", "learn more", "see more"),
        *("ici", "cliquez ici", "en savoir plus", "hier", "hier klicken", "mehr", "mehr erfahren", "klik hier"),
        *("aquí", "haz clic aquí", "más", "qui", "clicca qui", "aqui", "clique aqui"),
    )
)


def link_flaw(address: str, marks: Marks) -> str:
    """Return why a protected address can't be linked to, in a sentence, or an empty text when it can."""
    match = _WEB.match(address) or _MAIL.match(address)
    if match is None:
        if marks.pattern.match(address):
            return "A link can't begin with a value."
        return "A link needs a whole address that begins with https:// or mailto:."
    host = match["host"]
    if marks.pattern.search(host):
        return "The host of a link can't come from a value."
    if not (_ADDRESS if match.re is _MAIL else _HOST).match(host):
        return f"{host!r} is no {'address' if match.re is _MAIL else 'host'} to link to."
    return "" if _PRINTABLE.match(address) else "A link can't hold spaces or special characters."


LINK_FIX = "Write it like https://shop.example/orders/{{ new.id }}: values may stand behind the host only."


def is_vague(label: str) -> bool:
    """Return whether a link's words say nothing when they are read alone."""
    return re.sub(r"[\s.…!»→>]+$", "", " ".join(label.lower().split())) in _VAGUE
