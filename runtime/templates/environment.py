"""Jinja2 with nothing in it but the filters and tests of texts, and templates made ready to render.

A template only ever sees dicts, lists and plain values: members are looked up as items, never as attributes, so that
a column called `items` is that column, and no method of Python can be reached.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from types import CodeType
from typing import Any

from jinja2 import Template, nodes, pass_context
from jinja2.runtime import Context, LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer
from markupsafe import Markup, escape

from runtime.templates.filters import FILTERS, TESTS
from runtime.templates.values import BadValue, Missing, printed

LOOP = frozenset({"index", "index0", "revindex", "revindex0", "first", "last", "length"})
ROUNDS = "_rounds"
"""Where a render counts how often its loops went round, in a list of one number."""
_MOST_ROUNDS = 100_000
_SHORT = 8
_SPECIAL = re.compile(r"""[&<>'"\n]""")
_HOLDERS = (dict, list, tuple, str, Missing)
_NUMBERS = (int, float, Decimal)


class Place(StrEnum):
    """What a template writes, which decides how its values are escaped."""

    HTML = "html"
    PLAIN = "plain"
    MRKDWN = "mrkdwn"


class TextEnvironment(ImmutableSandboxedEnvironment):
    """The environment of one place."""

    intercepted_binops = frozenset({"*", "%", "**"})

    def __init__(self, prints: Callable[[Any, str], str]) -> None:
        super().__init__(undefined=Missing)
        self.globals.clear()
        self.filters: dict[str, Any] = {**FILTERS, "_print": prints, "_rows": _rows}
        self.tests: dict[str, Any] = dict(TESTS)

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Return a member of a row, or what a loop knows of itself."""
        if type(obj) is dict and attribute in obj:  # nearly always
            return obj[attribute]
        if isinstance(obj, LoopContext):
            return getattr(obj, attribute) if attribute in LOOP else self.undefined(obj=obj, name=attribute)
        return self.getitem(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """Return an item of a row or list; Missing when there is none."""
        try:
            return obj[argument] if isinstance(obj, _HOLDERS) else self.undefined(name=argument)
        except (LookupError, TypeError):
            return self.undefined(obj=obj, name=argument)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Multiply numbers only: a text times a number fills the memory."""
        if not (isinstance(left, _NUMBERS) and isinstance(right, _NUMBERS)):
            raise BadValue(f"{operator} takes two numbers")
        return super().call_binop(context, operator, left, right)


def _html(value: Any, name: str) -> str:
    text = printed(value, name)
    if not _SPECIAL.search(text):
        return text
    return Markup("<br>\n").join(escape(line) for line in text.split("\n"))


def _mrkdwn(value: Any, name: str) -> str:
    return printed(value, name).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


@pass_context
def _rows(context: Context, value: Any, name: str) -> Sequence[Any]:
    """Let a loop run over a list, and count its rounds."""
    if not isinstance(value, list | tuple):
        raise BadValue(f"{name} is no list to loop over")
    rounds = context[ROUNDS]
    rounds[0] += len(value)
    if rounds[0] > _MOST_ROUNDS:
        raise BadValue(f"its loops go round more than {_MOST_ROUNDS:,} times")
    return value


class _Guarding(NodeTransformer):
    """Passes all that is printed through `_print` and all that is looped over through `_rows`."""

    def visit_Output(self, node: nodes.Output) -> nodes.Output:  # noqa: N802  # the visitor's naming
        """Guard what an output prints."""
        node.nodes = [
            part if isinstance(part, nodes.TemplateData) else _through("_print", part, node.lineno)
            for part in node.nodes
        ]
        return node

    def visit_For(self, node: nodes.For) -> nodes.For:  # noqa: N802
        """Guard what a loop runs over, then what stands in it."""
        self.generic_visit(node)
        node.iter = _through("_rows", node.iter, node.lineno)
        return node


def _through(name: str, node: Any, line: int) -> nodes.Filter:
    return nodes.Filter(node, name, [nodes.Const(spoken(node), lineno=line)], [], None, None, lineno=line)


def spoken(node: nodes.Node) -> str:
    """Return how an author wrote the value inside an expression: `recipient.name` of `recipient.name | upper`."""
    match node:
        case nodes.Name():
            return node.name
        case nodes.Getattr():
            return f"{spoken(node.node)}.{node.attr}"
        case nodes.Getitem(arg=nodes.Const(value=value)):
            return f"{spoken(node.node)}[{value!r}]"
        case nodes.Filter(node=nodes.Expr() as inner) | nodes.Getitem(node=inner, arg=nodes.Slice()):
            return spoken(inner)
    return "a value"


ENVIRONMENTS: Mapping[Place, TextEnvironment] = {
    Place.HTML: TextEnvironment(_html),
    Place.PLAIN: TextEnvironment(printed),
    Place.MRKDWN: TextEnvironment(_mrkdwn),
}


@lru_cache(maxsize=512)
def template_of(place: Place, source: str) -> Template:
    """Compile a template that the policy has judged; the same source compiles once."""
    environment = ENVIRONMENTS[place]
    tree: nodes.Template = _Guarding().visit(environment.parse(source))
    tree.set_environment(environment)
    return Template.from_code(environment, environment.compile(tree), {})


@lru_cache(maxsize=512)
def constants_of(template: Template) -> frozenset[str]:
    """Return what a template writes of itself, in the pieces in which it yields it; short ones are left out."""
    return frozenset(_strings(template.root_render_func.__code__))


def _strings(code: CodeType) -> Iterator[str]:
    for constant in code.co_consts:
        if isinstance(constant, str) and len(constant) >= _SHORT:
            yield constant
        elif isinstance(constant, CodeType):
            yield from _strings(constant)
