"""Addresses: one spelling for each, and a refusal of what can't be one before a provider has to say so."""

import re
from collections.abc import Callable, Mapping

import idna

from runtime.errors import Permanent

_LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_DOMAIN = re.compile(rf"({_LABEL}\.)+(?!\d+$){_LABEL}|localhost")
_LONGEST_LOCAL, _LONGEST_DOMAIN = 64, 253
_AS_IT_IS = re.compile(rf"({_LOCAL.pattern})@({_DOMAIN.pattern})")
"""Most addresses: written already as they are to be."""
_SLACK_ID = re.compile(r"[CDGUW][A-Z0-9]{6,20}")
_SLACK_CHANNEL = re.compile(r"#((?![A-Z])[\w-]){1,80}")
_SLACK_HANDLE = re.compile(r"@?[a-z0-9][a-z0-9._-]{0,79}")


class BadAddress(Permanent):
    """What stands in the address column is no address."""


def normal_address(channel: str, value: str) -> str:
    """Return the one spelling of an address, or raise BadAddress. Compare addresses by their lower case."""
    return _NORMAL[channel](value.strip())


def is_plain_email(value: str) -> bool:
    """Return whether this is an address that is written already as it is to be; of long ones it does not say so."""
    return len(value) <= _LONGEST_LOCAL and _AS_IT_IS.fullmatch(value) is not None


def normal_email(value: str) -> str:
    """Return a plain address with its domain in lower-case ASCII; the part before the @ stays as written."""
    if is_plain_email(value):
        return value
    local, at, domain = value.rpartition("@")
    if not at or not local or not domain:
        raise BadAddress(f"{value!r} is no e-mail address. It needs one name, an @ and a domain.")
    if not _LOCAL.fullmatch(local) or len(local) > _LONGEST_LOCAL:
        raise BadAddress(f"{value!r} is no e-mail address. {local!r} can't stand before the @.")
    ascii_domain = _ascii(domain, value)
    if not _DOMAIN.fullmatch(ascii_domain) or len(ascii_domain) > _LONGEST_DOMAIN:
        raise BadAddress(f"{value!r} is no e-mail address. {domain!r} is no domain.")
    return f"{local}@{ascii_domain}"


def normal_slack(value: str) -> str:
    """Return #channel, an id such as C0123456789 or U0123456789, or @handle."""
    if _SLACK_ID.fullmatch(value) or _SLACK_CHANNEL.fullmatch(value):
        return value
    lowered = value.lower()
    if _SLACK_HANDLE.fullmatch(lowered):
        return lowered if lowered.startswith("@") else f"@{lowered}"
    raise BadAddress(f"{value!r} is no Slack address. It needs #channel, an id such as C0123456789, or a handle.")


def _ascii(domain: str, value: str) -> str:
    """Translate a domain in other letters as browsers do today: IDNA 2008, by which ß stays what it is."""
    if domain.isascii():
        return domain.lower()
    try:
        return idna.encode(domain, uts46=True).decode("ascii")
    except idna.IDNAError as error:
        raise BadAddress(f"{value!r} is no e-mail address. {domain!r} is no domain.") from error


_NORMAL: Mapping[str, Callable[[str], str]] = {"email": normal_email, "slack": normal_slack}
