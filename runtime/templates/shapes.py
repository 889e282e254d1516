"""What the expressions of a template stand for: a value, a row or a list, and which of them may be NULL."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from jinja2 import nodes

from runtime.spec.names import Names
from runtime.templates.environment import LOOP

Path = tuple[str | int, ...]
"""How a value is named, such as ("tier", 0, "pct")."""
Facts = frozenset[Path]
"""What is known not to be NULL, because a condition tested it."""
NOTHING: Facts = frozenset()


@dataclass(frozen=True)
class Shape:
    """What an expression stands for."""

    kind: Literal["value", "row", "list", "any"] = "value"
    """any: what was found wrong already; nothing more is said about it."""
    columns: Mapping[str, bool] | None = None
    """Of a row: column → may be NULL. None: not known."""
    item: "Shape | None" = None
    """Of a list: what it holds."""
    null: str = ""
    """What in the expression may be NULL, as the author wrote it; empty when nothing may."""


VALUE = Shape()
ANY = Shape("any")
LOOP_ROW = Shape("row", columns=dict.fromkeys(LOOP, False))


def unknown(said: str) -> Shape:
    """Return a value of which nothing is known, such as a member of a JSON column."""
    return Shape(null=said)


def shape_of(names: Names) -> Shape:
    """Return what stands behind a root name."""
    row = Shape("row", columns=names.columns)
    return Shape("list", item=row) if names.rows else row


def path_of(node: nodes.Node) -> Path | None:
    """Return how a node names a value, or None when it computes one."""
    match node:
        case nodes.Name():
            return (node.name,)
        case nodes.Getattr():
            inner = path_of(node.node)
            return None if inner is None else (*inner, node.attr)
        case nodes.Getitem(arg=nodes.Const(value=str() | int() as key)):
            inner = path_of(node.node)
            return None if inner is None else (*inner, key)
    return None


class Outcome(NamedTuple):
    """What is not NULL when a condition holds, and what is not NULL when it does not."""

    holds: Facts = NOTHING
    fails: Facts = NOTHING


def facts_of(test: nodes.Node) -> Outcome:
    """Return what a condition tells of NULLs."""
    match test:
        case nodes.Not():
            inner = facts_of(test.node)
            return Outcome(inner.fails, inner.holds)
        case nodes.And():
            left, right = facts_of(test.left), facts_of(test.right)
            return Outcome(left.holds | right.holds, left.fails & right.fails)
        case nodes.Or():
            left, right = facts_of(test.left), facts_of(test.right)
            return Outcome(left.holds & right.holds, left.fails | right.fails)
        case nodes.Compare(ops=[nodes.Operand() as operand]):
            return _compared(test.expr, operand)
    return _tested(test)


def _tested(test: nodes.Node) -> Outcome:
    match test:
        case nodes.Test(name="defined"):
            return Outcome(holds=_known(test.node))
        case nodes.Test(name="none" | "undefined"):
            return Outcome(fails=_known(test.node))
        case nodes.Test() | nodes.Filter(name="default"):
            return Outcome()
        case nodes.Filter(node=nodes.Expr() as inner):
            return Outcome(facts_of(inner).holds)  # NULL passes through a filter, and is false
    return Outcome(_known(test))


def _known(node: nodes.Node) -> Facts:
    path = path_of(node)
    return NOTHING if path is None else frozenset({path})


def _compared(left: nodes.Expr, operand: nodes.Operand) -> Outcome:
    """Judge one comparison: with NULL itself, or with something that is not NULL."""
    right, known = operand.expr, _known(left)
    if isinstance(right, nodes.Const) and right.value is None:
        return Outcome(holds=known) if operand.op == "ne" else Outcome(fails=known)
    if (operand.op == "eq" and isinstance(right, nodes.Const)) or (
        operand.op == "in" and isinstance(right, nodes.List | nodes.Tuple)
    ):
        return Outcome(holds=known)
    return Outcome()
