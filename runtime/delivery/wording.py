"""What each person will read; a text that does not speak of the recipient is rendered once for all readers."""

import re
from collections.abc import Callable, Hashable
from typing import Generic, NamedTuple, TypeVar

from runtime.delivery.message import Send
from runtime.delivery.recipients import Recipient
from runtime.spec.compiled import CompiledText
from runtime.templates.choice import choose_text
from runtime.templates.rendering import Pieces, Renderer, RenderFailed

_SLACK_SPECIAL = re.compile(r"<(?=[!@#])[^<>]*>")
Frozen = TypeVar("Frozen")


class Said(NamedTuple):
    """A text rendered for one person."""

    pieces: Pieces
    link: str
    """The person's own, in the footer; may be empty."""
    constants: frozenset[str]
    """Pieces that everybody reads."""
    is_fixed: bool
    """Nothing in it but the link is about the person."""


class _Text(NamedTuple):
    """A text for all who read it in one locale and zone."""

    compiled: CompiledText
    renderer: Renderer
    is_fixed: bool


class Wording(Generic[Frozen]):
    """Renders the texts of one send, and freezes them by a function that says whether it holds for others as well."""

    def __init__(self, send: Send, sender: str, freeze: Callable[[Said], tuple[Frozen, bool]]) -> None:
        """Render for a sender, who stands in the footer of a mail.

        What `freeze` returns for a fixed text is asked for again where it says so: for people with a link, or without.
        """
        self._send = send
        self._sender = sender
        self._freeze = freeze
        self._texts: dict[Hashable, _Text] = {}
        self._known: dict[Hashable, Frozen] = {}

    def frozen(self, recipient: Recipient, *, zone: str, link: str) -> Frozen:
        """Return the words for a recipient. Raises Permanent."""
        same = (recipient.channel, recipient.locale, zone, bool(link))
        known = self._known.get(same)
        if known is not None:
            return known
        text = self._texts.get(same)
        if text is None:
            text = self._texts[same] = self._text(recipient, zone)
        pieces = text.renderer.pieces(recipient.person, link=link)
        if recipient.channel == "slack":
            pieces = _slack(pieces, text.compiled)
        said = Said(pieces, link, text.renderer.constants, text.is_fixed)
        frozen, holds = self._freeze(said)
        if text.is_fixed and holds:
            self._known[same] = frozen
        return frozen

    def _text(self, recipient: Recipient, zone: str) -> _Text:
        compiled = choose_text(self._send.texts, recipient.channel, recipient.locale)
        sender = self._sender if recipient.channel == "email" else ""
        renderer = Renderer(compiled, self._send.names, locale=recipient.locale, zone=zone, sender=sender)
        return _Text(compiled, renderer, not _speaks_of_recipient(compiled))


def _speaks_of_recipient(text: CompiledText) -> bool:
    return any("recipient" in part for part in (text.subject, text.html, text.text))


def _slack(pieces: Pieces, text: CompiledText) -> Pieces:
    """Return Slack text in which nobody but the author can have called a channel, a group or a person.

    Templates escape values; this holds even where one does not.
    """
    said = "".join(pieces.text)
    if not said.strip():
        raise RenderFailed("The text comes out empty. Give its values a default.")

    def keep_or_show(found: re.Match[str]) -> str:
        return found[0] if found[0] in text.text else found[0].replace("<", "&lt;").replace(">", "&gt;")

    return pieces._replace(text=(_SLACK_SPECIAL.sub(keep_or_show, said),))
