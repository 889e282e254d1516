"""Markdown tokens as words without HTML: plain text for mails, mrkdwn for Slack."""

import re
from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple

from markdown_it.token import Token
from markdown_it.tree import SyntaxTreeNode


class Dialect(NamedTuple):
    """How a kind of text says what Markdown means."""

    words: Callable[[str], str]
    """What an author wrote, escaped."""
    strong: str
    emphasis: str
    struck: str
    code: str
    bullet: str
    rule: str
    link: Callable[[str, str], str]
    """Label and address; both are the same for a bare address."""

    def bold(self, words: str) -> str:
        """Return words that stand out, where the dialect can say so."""
        return f"{self.strong}{words}{self.strong}" if words else ""


_CALL = re.compile(r"&lt;(![a-z]+|[@#][A-Z0-9]+)&gt;")
"""Slack's own way to call a person, a channel or everyone: an author may, a value never can."""


def _escaped(words: str) -> str:
    return words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _escaped_words(words: str) -> str:
    return _CALL.sub(r"<\1>", _escaped(words))


def _plain_link(label: str, address: str) -> str:
    return address if label == address else f"{label} ({address})"


def _slack_link(label: str, address: str) -> str:
    target = _escaped(address).replace("|", "%7C")
    return f"<{target}>" if label == address else f"<{target}|{label}>"


PLAIN = Dialect(str, "", "", "", "", "-", "---", _plain_link)
MRKDWN = Dialect(_escaped_words, "*", "_", "~", "`", "•", "———", _slack_link)


def write(tokens: list[Token], dialect: Dialect) -> str:
    """Return tokens as text: blocks apart by an empty line, nothing at the ends."""
    return _Writer(dialect).blocks(SyntaxTreeNode(tokens).children).strip()


class _Writer:
    """Writes the tree of a text; the names of its kinds are those of Markdown's tokens."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._write: dict[str, Callable[[SyntaxTreeNode], str]] = {
            "statement": lambda node: node.content,
            "inline": self._inside,
            "paragraph": lambda node: self._inside(node) + ("\n" if node.hidden else "\n\n"),
            "heading": lambda node: dialect.bold(self._inside(node)) + "\n\n",
            "bullet_list": self._list,
            "ordered_list": self._list,
            "blockquote": self._quote,
            "fence": self._code,
            "code_block": self._code,
            "hr": lambda _: f"{dialect.rule}\n\n",
            "text": lambda node: dialect.words(node.content),
            "softbreak": lambda _: "\n",
            "hardbreak": lambda _: "\n",
            "code_inline": lambda node: f"{dialect.code}{dialect.words(node.content)}{dialect.code}",
            "link": self._link,
            "image": lambda node: dialect.words(node.content),
            "strong": partial(self._marked, dialect.strong),
            "em": partial(self._marked, dialect.emphasis),
            "s": partial(self._marked, dialect.struck),
        }

    def blocks(self, nodes: Iterable[SyntaxTreeNode]) -> str:
        """Write what stands beside each other."""
        return "".join(self._write[node.type](node) for node in nodes)

    def _inside(self, node: SyntaxTreeNode) -> str:
        return self.blocks(node.children)

    def _marked(self, sign: str, node: SyntaxTreeNode) -> str:
        return f"{sign}{self._inside(node)}{sign}"

    def _quote(self, node: SyntaxTreeNode) -> str:
        return "\n".join(f"> {line}" for line in self._inside(node).strip().split("\n")) + "\n\n"

    def _code(self, node: SyntaxTreeNode) -> str:
        fence = self._dialect.code * 3
        return "\n".join(filter(None, (fence, self._dialect.words(node.content).strip("\n"), fence))) + "\n\n"

    def _link(self, node: SyntaxTreeNode) -> str:
        address = str(node.attrs["href"])
        return self._dialect.link(address if node.markup == "autolink" else self._inside(node), address)

    def _list(self, node: SyntaxTreeNode) -> str:
        """Write a list; one that holds a statement can't be numbered, for its numbers are known only later."""
        numbered = node.type == "ordered_list" and all(item.type == "list_item" for item in node.children)
        number = int(node.attrs.get("start", 1))
        lines = []
        for item in node.children:
            if item.type == "statement":
                lines.append(item.content)
                continue
            bullet = f"{number}." if numbered else self._dialect.bullet
            inner = self._inside(item).strip().replace("\n", "\n" + " " * (len(bullet) + 1))
            lines.append(f"{bullet} {inner}\n")
            number += 1
        return "".join(lines) + "\n"
