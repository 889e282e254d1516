"""One field of a text, read once: its flaws, and its words as HTML, plain text and mrkdwn, each still a template."""

import re
from collections.abc import Iterator
from typing import Literal

from markdown_it.token import Token

from runtime.templates.links import LINK_FIX, is_vague, link_flaw
from runtime.templates.markdown import MARKDOWN, crossed, read_blocks, read_inline, read_line
from runtime.templates.marks import Marks
from runtime.templates.policy import Flaw
from runtime.templates.theme import CLASSES, STYLES
from runtime.templates.wording import PLAIN, Dialect, write

Style = Literal["blocks", "inline", "line", "address"]
"""Markdown of any kind, Markdown within a line, words without markup, where a link leads."""
_HTML = re.compile(r"</?[a-z][a-z0-9]*(\s[^<>]*)?/?>", re.IGNORECASE)
_CODE = frozenset({"fence", "code_block"})
_OPENING = frozenset({"list_item_open", "blockquote_open"})
_NO_TOP = re.compile(r"^margin:\d+px 0 0")


class Words:
    """The words of one field. Its source must be readable Jinja2 (see `policy.parse`); nothing is evaluated."""

    def __init__(self, source: str, style: Style) -> None:
        self._marks = Marks(source)
        self._tokens = _tokens(source, style, self._marks)
        self.flaws: list[Flaw] = []
        self.warnings: list[Flaw] = []
        for token in self._all():
            self._judge(token)
        self._judge_links()
        if style == "address":
            self._judge_address()
        self._dress()
        for statement in crossed(self._rendered(), self._marks):
            message = f"`{statement}` begins in one paragraph or list item and ends in another."
            self.flaws.append(Flaw(0, "crossed-markup", message, "Put it and its end on lines of their own."))
        self._note_lost()

    @property
    def html(self) -> str:
        """Return the words as HTML with inline styles."""
        return self._marks.restore(self._rendered()).text

    def written(self, dialect: Dialect) -> str:
        """Return the words without HTML."""
        return self._marks.restore(write(self._tokens, dialect)).text

    def _all(self) -> Iterator[Token]:
        for token in self._tokens:
            yield token
            yield from token.children or ()

    def _rendered(self) -> str:
        return str(MARKDOWN.renderer.render(self._tokens, MARKDOWN.options, {})).strip()

    def _judge(self, token: Token) -> None:
        if token.type == "image":
            self.flaws.append(Flaw(0, "not-built-yet", "Images can't be shown in texts yet.", "Link to the picture."))
        elif token.type == "text" and _HTML.search(token.content):
            fix = "Use Markdown, such as **bold**, or a block."
            self.warnings.append(Flaw(0, "html-in-text", "HTML is shown to people as it is written.", fix))

    def _judge_links(self) -> None:
        for token in self._tokens:
            for opening, label in _links(token.children or []):
                opening.attrSet("href", self._safe(str(opening.attrs.get("href", ""))))
                self.warnings += [vague_link(label)] if is_vague(label) else []

    def _judge_address(self) -> None:
        text = (self._tokens[0].children or [])[0]
        text.content = self._safe(MARKDOWN.normalizeLink(text.content))

    def _safe(self, address: str) -> str:
        """Judge where a link leads, and encode the values in it."""
        flaw = link_flaw(address, self._marks)
        if flaw:
            self.flaws.append(Flaw(0, "bad-link", flaw, LINK_FIX))
        return self._marks.encoded(address)

    def _dress(self) -> None:
        """Give each element its inline style, and the class by which the dark scheme finds it."""
        opened = True  # the first element, and the first inside a list item or quote, has no space above
        for token in self._all():
            tag = "pre" if token.type in _CODE else token.tag
            if token.nesting >= 0 and not token.hidden and tag in STYLES:
                token.attrSet("style", _NO_TOP.sub("margin:0", STYLES[tag]) if opened else STYLES[tag])
                if tag in CLASSES:
                    token.attrSet("class", CLASSES[tag])
            if token.type != "statement":
                opened = token.type in _OPENING

    def _note_lost(self) -> None:
        for text in (self._rendered(), write(self._tokens, PLAIN)):
            for lost in self._marks.restore(text).lost:
                message = f"`{lost}` got lost while the text was compiled."
                self.flaws.append(Flaw(0, "lost-token", message, "Write it into plain words, outside of markup."))


def vague_link(label: str) -> Flaw:
    """Return the warning about words of a link that say nothing when they are read alone."""
    message = f"The link {' '.join(label.split())!r} says nothing when it is read alone."
    return Flaw(0, "vague-link", message, "Say what it opens, such as Track the parcel.")


def _tokens(source: str, style: Style, marks: Marks) -> list[Token]:
    protected = marks.protect(source)
    match style:
        case "blocks":
            return read_blocks(protected, marks)
        case "inline":
            return read_inline(protected)
        case "line" | "address":
            return read_line(protected)


def _links(spans: list[Token]) -> Iterator[tuple[Token, str]]:
    """Yield each link's opening token with its words."""
    opening, label = None, ""
    for span in spans:
        if span.type == "link_open":
            opening, label = span, ""
        elif span.type == "link_close" and opening is not None:
            yield opening, label
            opening = None
        label += span.content
