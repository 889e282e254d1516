"""Markdown with Jinja2 in it, read so that statements and markup nest: loops go round whole items and paragraphs."""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from textwrap import dedent
from typing import NamedTuple

from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict

from runtime.templates.marks import Marks

_OPENS, _BETWEEN, _CLOSES = frozenset({"for", "if"}), frozenset({"elif", "else"}), frozenset({"endfor", "endif"})
_BLOCK_START = re.compile(r"[-*+]\s|\d{1,3}[.)]\s|#{1,6}\s|>")
_LISTS = frozenset({"bullet_list_open", "ordered_list_open"})
_TAG = re.compile(r"<(?P<close>/?)(?P<name>[a-z0-9]+)(?P<rest>[^>]*)>")
_VOID = frozenset({"br", "hr"})


class _Markdown(MarkdownIt):
    """CommonMark without HTML. It takes every link: ours are judged by `runtime.templates.links`."""

    def validateLink(self, url: str) -> bool:  # noqa: N802, ARG002  # the library's name
        return True


def _statement(
    _renderer: RendererHTML, tokens: Sequence[Token], number: int, _options: OptionsDict, _env: EnvType
) -> str:
    return tokens[number].content


def _code(renderer: RendererHTML, tokens: Sequence[Token], number: int, _options: OptionsDict, _env: EnvType) -> str:
    attributes = renderer.renderAttrs(tokens[number])
    return f"<pre{attributes}>{escapeHtml(tokens[number].content)}</pre>\n"


def _markdown() -> MarkdownIt:
    markdown = _Markdown("commonmark", {"html": False, "xhtmlOut": True, "breaks": True}).enable("strikethrough")
    for kind, rule in {"statement": _statement, "fence": _code, "code_block": _code}.items():
        markdown.add_render_rule(kind, rule)
    return markdown


MARKDOWN = _markdown()


def read_blocks(source: str, marks: Marks) -> list[Token]:
    """Return the tokens of protected Markdown; a statement on lines of its own is a token of type `statement`."""
    tokens: list[Token] = []
    position = 0
    for match in _standing_alone(source, marks):
        tokens += MARKDOWN.parse(dedent(source[position : match.start()]))
        tokens.append(Token("statement", "", 0, content=match.group(0)))
        position = match.end()
    tokens += MARKDOWN.parse(dedent(source[position:]))
    while _hoist(tokens, marks):
        pass
    return _merged(tokens)


def read_inline(source: str) -> list[Token]:
    """Return the tokens of protected Markdown within one line."""
    return MARKDOWN.parseInline(source.strip())


def read_line(source: str) -> list[Token]:
    """Return the tokens of protected words without any markup."""
    return [Token("inline", "", 0, children=[Token("text", "", 0, content=source.strip())])]


def crossed(html: str, marks: Marks) -> list[str]:
    """Return the statements of protected HTML that begin in one element and end in another."""
    groups = _groups(_statements(html, marks), marks)
    return [marks.piece(group[0].mark).source for group in groups if len({one.around for one in group}) > 1]


class _Placed(NamedTuple):
    """A mark with the elements around it."""

    mark: re.Match[str]
    around: tuple[str, ...] = ()


def _statements(html: str, marks: Marks) -> Iterator[_Placed]:
    """Yield each mark of some HTML."""
    stack: list[str] = []
    for match in re.finditer(f"{_TAG.pattern}|{marks.pattern.pattern}", html):
        if match["name"] is None:
            yield from (_Placed(mark, tuple(stack)) for mark in marks.pattern.finditer(match.group(0)))
        elif match["close"]:
            stack.pop()
        else:
            inside = (*stack, match["name"], "attribute")
            yield from (_Placed(mark, inside) for mark in marks.pattern.finditer(match["rest"]))
            if match["name"] not in _VOID:
                stack.append(match["name"])


def _groups(statements: Iterable[_Placed], marks: Marks) -> Iterator[list[_Placed]]:
    """Yield what belongs together: a for or if, its elif and else, and its end; inner ones first."""
    is_open: list[list[_Placed]] = []
    for statement in statements:
        word = marks.piece(statement.mark).word
        if word in _OPENS:
            is_open.append([statement])
        elif word in _BETWEEN | _CLOSES and is_open:
            is_open[-1].append(statement)
            if word in _CLOSES:
                yield is_open.pop()


def _standing_alone(source: str, marks: Marks) -> list[re.Match[str]]:
    """Return the statements that stand between blocks of Markdown, not within one.

    They begin their lines, and nothing follows there but the start of a list item, heading or quote; so do all the
    others of their group.
    """
    alone = [
        one.mark
        for group in _groups(map(_Placed, marks.pattern.finditer(source)), marks)
        if all(_begins_a_block(source, one.mark, marks) for one in group)
        for one in group
    ]
    return sorted(alone, key=lambda match: match.start())


def _begins_a_block(source: str, match: re.Match[str], marks: Marks) -> bool:
    start = source.rfind("\n", 0, match.start()) + 1
    end = source.find("\n", match.end())
    before = _without_statements(source[start : match.start()], marks)
    after = _without_statements(source[match.end() : end if end >= 0 else len(source)], marks)
    return not before and (not after or bool(_BLOCK_START.match(after)))


def _without_statements(text: str, marks: Marks) -> str:
    return marks.pattern.sub(lambda m: "" if marks.piece(m).word else m.group(0), text).strip()


def _hoist(tokens: list[Token], marks: Marks) -> bool:
    """Pull one list out of the statements around it: a loop over lists of one item becomes one list."""
    is_open: list[list[int]] = []
    for number, token in enumerate(tokens):
        match = marks.pattern.match(token.content) if token.type == "statement" else None
        word = marks.piece(match).word if match else ""
        if word in _OPENS:
            is_open.append([number])
        elif word and is_open:
            is_open[-1].append(number)
            if word in _CLOSES:
                places = is_open.pop()
                kind = _list_between(tokens, places)
                if kind:
                    _pull_out(tokens, places)
                    return True
    return False


def _list_between(tokens: list[Token], places: list[int]) -> str:
    """Return the kind of list that stands alone between all the statements, if there is one."""
    kinds = set()
    for start, end in pairwise(places):
        inner = tokens[start + 1 : end]
        closing = [n for n, token in enumerate(inner) if token.level == 0 and token.nesting == -1]
        alone = bool(inner) and inner[0].type in _LISTS and closing == [len(inner) - 1]
        kinds.add(inner[0].type if alone else "")
    return kinds.pop() if len(kinds) == 1 else ""


def _pull_out(tokens: list[Token], places: list[int]) -> None:
    first, last = tokens[places[0] + 1], tokens[places[-1] - 1]
    dropped = {number for place in places for number in (place - 1, place + 1)} - {places[0] - 1, places[-1] + 1}
    kept = [tokens[number] for number in range(places[0], places[-1] + 1) if number not in dropped]
    tokens[places[0] : places[-1] + 1] = [first, *kept, last]


def _merged(tokens: list[Token]) -> list[Token]:
    """Join a list that a statement ended with the like list that goes on behind it."""
    merged: list[Token] = []
    for token in tokens:
        previous = merged[-1] if merged else None
        if (
            previous is not None
            and token.type in _LISTS
            and token.level == previous.level == 0
            and previous.type == token.type.replace("_open", "_close")
        ):
            merged.pop()
        else:
            merged.append(token)
    return merged
