"""Marks stand in for pieces of template while Markdown and MJML work on the words around them.

A mark is letters and digits, so no parser moves, splits or escapes it. What gets lost is told by name.
"""

import re
from html import unescape
from typing import NamedTuple

from runtime.templates.environment import ENVIRONMENTS, Place

_SALT = "jqz"
_BEGIN = {"variable_begin": "print", "block_begin": "statement"}
_END = frozenset({"variable_end", "block_end"})
_COMMENT = frozenset({"comment_begin", "comment", "comment_end", "raw_begin", "raw_end"})


class Piece(NamedTuple):
    """A piece of template."""

    kind: str
    """print, statement or other."""
    inner: str
    """The expression or statement, without its braces."""

    @property
    def source(self) -> str:
        """Return it as it stands in a template."""
        match self.kind:
            case "print":
                return "{{ " + self.inner + " }}"
            case "statement":
                return "{% " + self.inner + " %}"
        return self.inner

    @property
    def word(self) -> str:
        """Return the word that names a statement: for, endif and so on."""
        return self.inner.split(None, 1)[0] if self.kind == "statement" and self.inner else ""


class Restored(NamedTuple):
    """A text with its pieces back in place."""

    text: str
    lost: tuple[str, ...]
    """The sources of pieces that were not found again."""


class Marks:
    """The marks of one text; `avoid` is what an author wrote, in which no mark may stand already, not even encoded."""

    def __init__(self, avoid: str = "") -> None:
        salt, written = _SALT, avoid + unescape(avoid)
        while salt in written:
            salt += "q"
        self._salt = salt
        self._pieces: list[Piece] = []
        self._replaced: set[int] = set()
        self.pattern = re.compile(rf"{salt}(\d+)z")
        self._literal = re.compile(rf"\{{(?=[{{%#]|{salt}\d+z)")

    def add(self, source: str) -> str:
        """Return a mark for a finished piece of template."""
        return self._mark(Piece("other", source))

    def protect(self, source: str) -> str:
        """Return a template that can be read, with marks for all it prints and states; comments are left out."""
        out: list[str] = []
        inner: list[str] = []
        kind = ""
        for _, token, value in ENVIRONMENTS[Place.HTML].lex(source):
            if token in _BEGIN:
                kind, inner = _BEGIN[token], []
            elif token in _END:
                out.append(self._mark(Piece(kind, "".join(inner).strip())))
                kind = ""
            elif kind:
                inner.append(value)
            elif token not in _COMMENT:
                out.append(value)
        return "".join(out)

    def piece(self, mark: re.Match[str]) -> Piece:
        """Return what a match of `pattern` stands for."""
        return self._pieces[int(mark.group(1))]

    def encoded(self, address: str) -> str:
        """Return a web address whose printed values are encoded as parts of an address."""

        def encode(mark: re.Match[str]) -> str:
            piece = self.piece(mark)
            if piece.kind != "print":
                return mark.group(0)
            self._replaced.add(int(mark.group(1)))
            return self._mark(Piece("print", _encoded(piece.inner)))

        return self.pattern.sub(encode, address)

    def restore(self, text: str) -> Restored:
        """Return the text with pieces for marks; braces that were literal stay literal."""
        seen = set(self._replaced)

        def put_back(mark: re.Match[str]) -> str:
            seen.add(int(mark.group(1)))
            return self.piece(mark).source

        literal = self._literal.sub("{{ '{' }}", text)
        whole = self.pattern.sub(put_back, literal)
        lost = tuple(piece.source for number, piece in enumerate(self._pieces) if number not in seen)
        return Restored(whole, lost)

    def _mark(self, piece: Piece) -> str:
        self._pieces.append(piece)
        return f"{self._salt}{len(self._pieces) - 1}z"


def _encoded(expression: str) -> str:
    return expression if re.search(r"\|\s*urlencode\s*$", expression) else f"({expression}) | urlencode"
