"""Renders a compiled text for one person: pure, bounded in time and size, and never half done."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import parseaddr
from functools import cached_property
from itertools import islice
from types import MappingProxyType
from typing import Any, NamedTuple

from jinja2 import Template, TemplateError
from jinja2.runtime import Context

from runtime.errors import Permanent
from runtime.spec.compiled import CompiledText
from runtime.templates.environment import ROUNDS, Place, constants_of, template_of
from runtime.templates.filters import READER, Reader
from runtime.templates.footer import footer_of
from runtime.templates.mail import FOOTER, SUBJECT
from runtime.templates.values import one_line

_NO_LINKS: Mapping[str, str] = MappingProxyType({})
_LARGEST = 1_000_000
_AT_A_TIME = 50
"""Pieces after which the size is looked at."""
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


class Pieces(NamedTuple):
    """The same, not joined yet: many readers of one text share most pieces, see `Renderer.constants`."""

    subject: str
    html: Sequence[str]
    text: Sequence[str]

    def joined(self) -> Rendered:
        """Return it as whole texts."""
        return Rendered(self.subject, "".join(self.html), "".join(self.text))


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
    renderer = Renderer(text, names, locale=locale, zone=zone, sender=sender)
    return renderer.pieces(link=links.get("unsubscribe", "")).joined()


class Renderer:
    """A text made ready for everybody who reads it in one locale and zone. For one thread at a time."""

    def __init__(self, text: CompiledText, names: Mapping[str, Any], *, locale: str, zone: str, sender: str) -> None:
        """Take what `render` takes, but for what differs from person to person."""
        locale = locale or text.locale
        self._text = text
        self._rounds = [0]
        self._footer = footer_of(parseaddr(sender)[0] if "@" in sender else sender, "", locale)
        self._names: dict[str, Any] = {**names, READER: Reader(locale, zone), ROUNDS: self._rounds}
        self._subject = self._part("subject", Place.PLAIN, text.subject)
        self._words = self._part("text", Place.MRKDWN if text.channel == "slack" else Place.PLAIN, text.text)

    def pieces(self, recipient: Mapping[str, Any] | None = None, *, link: str = "") -> Pieces:
        """Render for a person, who is `recipient` in the text unless they were among the names; raises RenderFailed."""
        if recipient is not None:
            self._names["recipient"] = recipient
        subject = one_line("".join(self._subject.fill()))
        if self._text.channel == "slack":
            return Pieces(subject, (), (_tidy("".join(self._words.fill())),))
        if not subject:
            raise RenderFailed("The subject comes out empty. Give its values a default.")
        words = self._words.fill()
        whole = "".join(words)
        tidy = _tidy(whole)
        footer = self._footer._replace(address=link)
        self._names[SUBJECT], self._names[FOOTER] = subject, footer._asdict()
        below, at, _ = footer.text.partition(link) if link else (footer.text, "", "")
        text = [*(words if tidy == whole else [tidy]), below, at]
        return Pieces(subject, self._html.fill(), text)

    @cached_property
    def constants(self) -> frozenset[str]:
        """Return pieces that are the same for everybody; what is not among them may still be."""
        return frozenset().union(*(part.constants for part in (self._subject, self._words, self._html)))

    @cached_property
    def _html(self) -> "_Part":
        return self._part("html", Place.HTML, self._text.html)

    def _part(self, name: str, place: Place, source: str) -> "_Part":
        try:
            template = template_of(place, source)
        except TemplateError as error:
            raise _failed(name, error) from error
        return _Part(name, template, Context(template.environment, self._names, None, {}), self._rounds)


@dataclass(frozen=True)
class _Part:
    """One template and the context that it is rendered in, again and again: no text can set a name in it."""

    name: str
    template: Template
    context: Context
    rounds: list[int]

    @property
    def constants(self) -> frozenset[str]:
        return constants_of(self.template)

    def fill(self) -> list[str]:
        """Render it, piece by piece; what its values do to it is told with the part's name."""
        pieces: list[str] = []
        size = 0
        self.rounds[0] = 0
        try:
            written = iter(self.template.root_render_func(self.context))
            while some := list(islice(written, _AT_A_TIME)):
                size += sum(map(len, some))
                if size > _LARGEST:
                    raise RenderFailed(f"The {self.name} grows beyond {_LARGEST:,} characters. Print fewer rows.")
                pieces += some
        except (TemplateError, ValueError, TypeError, ArithmeticError, LookupError) as error:
            raise _failed(self.name, error) from error
        return pieces


def _failed(part: str, error: Exception) -> RenderFailed:
    said = str(error).rstrip(".") or type(error).__name__
    return RenderFailed(f"The {part} can't be rendered: {said}. Correct the text or the row.")


def _tidy(words: str) -> str:
    """Take out what statements without an outcome leave behind: spaces at line ends, empty lines beyond one."""
    if " \n" in words or "\t\n" in words:
        words = _GAPS.sub("\n", words)
    if "\n\n\n" in words:
        words = _EMPTY_LINES.sub("\n\n", words)
    return words.strip()
