"""What may stand in a template: a short list of Jinja2, judged on the syntax tree before anything is compiled.

Compiling evaluates constants, so a template is walked first and compiled only when nothing was found.
"""

import inspect
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from jinja2 import TemplateSyntaxError, nodes
from jinja2.filters import FILTERS as JINJA_FILTERS

from runtime.spec.nearest import did_you_mean
from runtime.templates.environment import ENVIRONMENTS, Place
from runtime.templates.filters import FILTERS, TESTS

LONGEST = 65_536
"""Characters of one text with all its blocks."""
_MOST_LOOPS = 3
_DEEPEST = 60
_TOO_DEEP = ("too-deep", "Expressions and blocks stand too deep inside each other.", "Compute it in a `query` step.")
_ALLOWED = (
    *(nodes.Template, nodes.Output, nodes.TemplateData, nodes.If, nodes.For, nodes.Name, nodes.Const),
    *(nodes.Getattr, nodes.Getitem, nodes.Slice, nodes.Filter, nodes.Test, nodes.Keyword, nodes.List, nodes.Tuple),
    *(nodes.CondExpr, nodes.And, nodes.Or, nodes.Not, nodes.Compare, nodes.Operand, nodes.Neg, nodes.Pos),
    *(nodes.Pair, nodes.Scope, nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod),
)
_ALIASES = {"d": "default", "count": "length"}
_CALLED = {
    nodes.Call: "A call",
    nodes.Assign: "`{% set %}`",
    nodes.AssignBlock: "`{% set %}`",
    nodes.With: "`{% with %}`",
    nodes.Macro: "`{% macro %}`",
    nodes.CallBlock: "`{% call %}`",
    nodes.FilterBlock: "`{% filter %}`",
    nodes.Block: "`{% block %}`",
    nodes.Include: "`{% include %}`",
    nodes.Import: "`{% import %}`",
    nodes.FromImport: "`{% from %}`",
    nodes.Extends: "`{% extends %}`",
    nodes.ScopedEvalContextModifier: "`{% autoescape %}`",
    nodes.Concat: "`~`",
    nodes.Pow: "`**`",
    nodes.Dict: "A dictionary",
}


class Flaw(NamedTuple):
    """Something in a template that is refused; the line counts from 1."""

    line: int
    code: str
    message: str
    fix: str


class Refused(Exception):  # noqa: N818  # told as a Problem by the caller, never raised to the outside
    """A template that can't even be read."""

    def __init__(self, flaw: Flaw) -> None:
        super().__init__(flaw.message)
        self.flaw = flaw


def parse(source: str) -> nodes.Template:
    """Return the syntax tree of a template, without evaluating anything; raises Refused."""
    if len(source) > LONGEST:
        message = f"The text has {len(source):,} characters; at most {LONGEST:,} are taken."
        raise Refused(Flaw(1, "too-long", message, "Leave something out, or link to it."))
    try:
        tree = ENVIRONMENTS[Place.HTML].parse(source)
    except TemplateSyntaxError as error:
        said = (error.message or "it can't be read").rstrip(".")
        fix = "Print with {{ name }}, choose with {% if … %} … {% endif %}, repeat with {% for … %} … {% endfor %}."
        raise Refused(Flaw(error.lineno, "template-syntax", f"Not Jinja2: {said}.", fix)) from None
    except (RecursionError, ValueError):  # a number of thousands of digits is a ValueError
        raise Refused(Flaw(1, *_TOO_DEEP)) from None
    if not _is_shallow(tree):
        raise Refused(Flaw(1, *_TOO_DEEP))
    return tree


def flaws(tree: nodes.Template, *, loops: int = 0, ours: frozenset[str] = frozenset()) -> Iterator[Flaw]:
    """Yield what the policy refuses of a tree that stands inside so many loops already.

    `ours` are names beginning with an underscore that may stand there: what we print around an author's words.
    """
    yield from _flaws(tree, loops, ours)


def _is_shallow(tree: nodes.Node) -> bool:
    """Walk without recursion: whoever comes later may recurse."""
    waiting = [(tree, 0)]
    while waiting:
        node, depth = waiting.pop()
        if depth > _DEEPEST:
            return False
        waiting += [(child, depth + 1) for child in node.iter_child_nodes()]
    return True


def _flaws(node: nodes.Node, loops: int, ours: frozenset[str]) -> Iterator[Flaw]:
    match node:
        case nodes.For():
            loops += 1
            yield from _for(node, loops)
        case nodes.Filter():
            yield from _filter(node)
        case nodes.Test():
            yield from _test(node)
        case nodes.Name(name=name) | nodes.Getattr(attr=name) | nodes.Getitem(arg=nodes.Const(value=str() as name)):
            if name.startswith("_") and name not in ours:
                yield Flaw(node.lineno, "not-allowed", f"The name {name!r} starts with _.", "Name a column.")
        case nodes.CondExpr(expr2=None):
            fix = "Write `a if condition else b`, or use {% if %}."
            yield Flaw(node.lineno, "no-else", "An `if` inside {{ }} has no `else`.", fix)
        case _ if not isinstance(node, _ALLOWED):
            yield _refused(node)
    for child in node.iter_child_nodes():
        yield from _flaws(child, loops, ours)


def _refused(node: nodes.Node) -> Flaw:
    said = next((words for kind, words in _CALLED.items() if isinstance(node, kind)), type(node).__name__)
    fix = "Texts print, choose, loop and use filters; compute the rest in a `query` step."
    if isinstance(node, nodes.Call):
        fix = "Use a filter, such as {{ new.title | upper }}; compute the rest in a `query` step."
    return Flaw(node.lineno, "not-allowed", f"{said} can't be used in a text.", fix)


def _for(node: nodes.For, loops: int) -> Iterator[Flaw]:
    if loops > _MOST_LOOPS:
        message = f"Loops stand more than {_MOST_LOOPS} deep inside each other."
        yield Flaw(node.lineno, "too-deep", message, "Join the rows in a `query` step.")
    if node.recursive:
        yield Flaw(node.lineno, "not-allowed", "A recursive loop can't be used in a text.", "Leave `recursive` out.")
    if not isinstance(node.target, nodes.Name):
        fix = "Name one thing: {% for row in rows %}."
        yield Flaw(node.lineno, "not-allowed", "A loop can't take rows apart.", fix)


def _filter(node: nodes.Filter) -> Iterator[Flaw]:
    if node.node is None:  # of a {% filter %}, which is refused itself
        return
    if node.name not in FILTERS:
        yield Flaw(node.lineno, "unknown-filter", f"There is no filter {node.name!r}.", _instead(node.name))
        return
    if node.dyn_args is not None or node.dyn_kwargs is not None or not _takes(node):
        message = f"The filter {node.name!r} can't take these arguments."
        yield Flaw(node.lineno, "bad-argument", message, f"Write {_usage(node.name)}.")
    if node.name == "map":
        yield from _named_filter(node)
    if node.name in {"selectattr", "rejectattr"} and len(node.args) > 1:
        yield from _named_test(node, node.args[1])


def _instead(name: str) -> str:
    if name in {"e", "escape", "safe", "forceescape"}:
        return "Leave it out: every value is escaped for the place where it stands."
    there = f"There are {', '.join(sorted(FILTERS))}; compute the rest in a `query` step."
    if name in _ALIASES:
        return f"Did you mean {_ALIASES[name]!r}?"
    return there if name in JINJA_FILTERS else did_you_mean(name, FILTERS, otherwise=there)


def _named_filter(node: nodes.Filter) -> Iterator[Flaw]:
    for argument in [*node.args, *(pair.value for pair in node.kwargs if pair.key == "filter")]:
        if not isinstance(argument, nodes.Const):
            yield Flaw(node.lineno, "bad-argument", "`map` takes the name of a filter.", "Write it like map('upper').")
        elif argument.value not in FILTERS:
            message = f"There is no filter {argument.value!r}."
            yield Flaw(node.lineno, "unknown-filter", message, _instead(str(argument.value)))


def _named_test(node: nodes.Filter, argument: nodes.Expr) -> Iterator[Flaw]:
    if not isinstance(argument, nodes.Const):
        fix = f"Write it like {node.name}('qty', 'gt', 3)."
        yield Flaw(node.lineno, "bad-argument", f"`{node.name}` takes the name of a test.", fix)
    elif argument.value not in TESTS:
        yield _no_test(node, str(argument.value))


def _test(node: nodes.Test) -> Iterator[Flaw]:
    if node.name not in TESTS:
        yield _no_test(node, node.name)


def _no_test(node: nodes.Node, name: str) -> Flaw:
    words = [test for test in TESTS if test.isalpha()]
    there = f"There are {', '.join(sorted(words))}."
    return Flaw(node.lineno, "unknown-test", f"There is no test {name!r}.", did_you_mean(name, words, otherwise=there))


def _takes(node: nodes.Filter) -> bool:
    try:
        _signature(node.name).bind(*node.args, **{str(pair.key): pair.value for pair in node.kwargs})
    except TypeError:
        return False
    return True


@cache
def _signature(name: str) -> inspect.Signature:
    """Return what an author may write in the parentheses of a filter."""
    signature = inspect.signature(FILTERS[name])
    given = {"context", "value"}
    return signature.replace(parameters=[p for p in signature.parameters.values() if p.name not in given])


def _usage(name: str) -> str:
    parts = [
        parameter.name if parameter.default is parameter.empty else f"{parameter.name}={parameter.default!r}"
        for parameter in _signature(name).parameters.values()
    ]
    return f"{name}({', '.join(parts)})" if parts else f"{name}, without arguments"
