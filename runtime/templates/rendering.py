"""Renders a compiled text for one person: pure, bounded in time and size, and never half done."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parseaddr
from types import MappingProxyType
from typing import Any

from jinja2 import TemplateError

from runtime.errors import Permanent
from runtime.spec.compiled import CompiledText
from runtime.templates.environment import Place, fresh_context, template_of
from runtime.templates.filters import READER, Reader
from runtime.templates.footer import footer_of
from runtime.templates.mail import FOOTER, SUBJECT
from runtime.templates.values import one_line

_NO_LINKS: Mapping[str, str] = MappingProxyType({})
_LARGEST = 1_000_000
_GAPS = re.compile(r"[ \t]+\n")
_EMPTY_LINES = re.compile(r"\n{3,}")


@dataclass(frozen=True)
class Rendered:
    """What one person gets."""

    subject: str
    """One line, safe as the value of a mail header; empty where a Slack text has none."""
    html: str
    """Empty for Slack."""
    text: str
    """Plain text of a mail; mrkdwn for Slack, with every value escaped."""


class RenderFailed(Permanent):
    """A text can't be rendered with these values; the message says which part and why."""


def render(
    text: CompiledText,
    names: Mapping[str, Any],
    *,
    locale: str,
    zone: str,
    links: Mapping[str, str] = _NO_LINKS,
    sender: str = "",
) -> Rendered:
    """Render a text with the values of one run and person; raises RenderFailed.

    `names` holds new, old, live, item, event, recipient and the queries, as JSON values (instants as ISO texts) or as
    datetime, date and Decimal. Money and times are written for `locale` (the person's; empty: the text's own), times
    without a zone of their own in `zone`. The name in `sender` (`Name`, or `Name <address>`) and `links["unsubscribe"]`
    stand under a mail when they are given.
    """
    locale = locale or text.locale
    name = parseaddr(sender)[0] if "@" in sender else sender
    footer = footer_of(name, links.get("unsubscribe", ""), locale)
    context = {**names, READER: Reader(locale, zone)}
    subject = one_line(_part("subject", Place.PLAIN, text.subject, context))
    if text.channel == "slack":
        return Rendered(subject, "", _tidy(_part("text", Place.MRKDWN, text.text, context)))
    if not subject:
        raise RenderFailed("The subject comes out empty. Give its values a default.")
    words = _tidy(_part("text", Place.PLAIN, text.text, context))
    context |= {SUBJECT: subject, FOOTER: footer._asdict()}
    return Rendered(subject, _part("html", Place.HTML, text.html, context), words + footer.text)


def _part(part: str, place: Place, source: str, context: Mapping[str, Any]) -> str:
    """Render one template; what its values do to it is told with the part's name."""
    pieces: list[str] = []
    size = 0
    try:
        for piece in template_of(place, source).generate(fresh_context(context)):
            size += len(piece)
            if size > _LARGEST:
                raise RenderFailed(f"The {part} grows beyond {_LARGEST:,} characters. Print fewer rows.")
            pieces.append(piece)
    except (TemplateError, ValueError, TypeError, ArithmeticError, LookupError) as error:
        said = str(error).rstrip(".") or type(error).__name__
        raise RenderFailed(f"The {part} can't be rendered: {said}. Correct the text or the row.") from error
    return "".join(pieces)


def _tidy(words: str) -> str:
    """Take out what statements without an outcome leave behind: spaces at line ends, empty lines beyond one."""
    return _EMPTY_LINES.sub("\n\n", _GAPS.sub("\n", words)).strip()
