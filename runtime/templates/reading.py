"""Reads a template with the names in scope: unknown ones, and NULLs that nothing catches."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from jinja2 import nodes

from runtime.spec.names import Names
from runtime.spec.nearest import did_you_mean
from runtime.templates.environment import spoken
from runtime.templates.policy import Flaw
from runtime.templates.shapes import (
    ANY,
    LOOP_ROW,
    NOTHING,
    VALUE,
    Facts,
    Shape,
    facts_of,
    path_of,
    shape_of,
    unknown,
)

Scope = Mapping[str, Shape]
_SAME_LIST = frozenset({"sort", "selectattr", "rejectattr", "reverse", "unique"})
_ZONED = frozenset({"date", "time"})
_ORDER = frozenset({"lt", "lteq", "gt", "gteq"})
_BY_ATTRIBUTE = frozenset({"selectattr", "rejectattr"})


def scope_of(names: Mapping[str, Names]) -> dict[str, Shape]:
    """Return the root names as a scope."""
    return {name: shape_of(one) for name, one in names.items()}


def read(tree: nodes.Template, scope: Scope) -> list[Flaw]:
    """Return what is wrong with the names of a template that the policy allows."""
    reading = Reading()
    reading.body(tree.body, scope, NOTHING)
    return reading.flaws


def row_of(expression: nodes.Expr, scope: Scope) -> tuple[Shape, list[Flaw]]:
    """Return what one item of a list expression is, and what is wrong with the expression."""
    reading = Reading()
    return reading.items(expression, scope, NOTHING), reading.flaws


class Reading:
    """One reading, which collects flaws."""

    def __init__(self) -> None:
        self.flaws: list[Flaw] = []

    def body(self, body: Iterable[nodes.Node], scope: Scope, facts: Facts) -> None:
        """Read statements and prints one after another."""
        for node in body:
            match node:
                case nodes.Output():
                    for part in node.nodes:
                        self._printed(part, scope, facts)
                case nodes.If():
                    self._if(node, scope, facts)
                case nodes.For():
                    self._for(node, scope, facts)

    def items(self, node: nodes.Node, scope: Scope, facts: Facts) -> Shape:
        """Read what a loop runs over, and return what each item is."""
        shape = self._shape(node, scope, facts)
        if shape.kind == "row":
            self._flaw(node, "not-a-list", f"`{spoken(node)}` is one row, not a list.", "Name a query.")
        elif shape.null:
            fix = f"Write `{shape.null} | default([])`."
            self._flaw(node, "may-be-null", f"`{shape.null}` can be NULL and is looped over.", fix)
        return ANY if shape.kind in {"row", "any"} else shape.item or unknown("a member of the list")

    def _printed(self, node: nodes.Expr, scope: Scope, facts: Facts) -> None:
        if isinstance(node, nodes.TemplateData):
            return
        shape = self._shape(node, scope, facts)
        if shape.kind in {"row", "list"}:
            what = "a row" if shape.kind == "row" else "a list of rows"
            how = "a column of it" if shape.kind == "row" else "a row of it, as in {% for row in rows %}"
            self._flaw(node, "not-a-value", f"`{spoken(node)}` is {what}, not a value.", f"Print {how}.")
        elif shape.null:
            fix = f"Add `| default('…')`, or print it only inside `{{% if {shape.null} %}}`."
            self._flaw(node, "may-be-null", f"`{shape.null}` can be NULL and is printed.", fix)

    def _if(self, node: nodes.If, scope: Scope, facts: Facts) -> None:
        self._shape(node.test, scope, facts)
        holds, fails = facts_of(node.test)
        self.body(node.body, scope, facts | holds)
        facts |= fails
        for other in node.elif_:
            self._shape(other.test, scope, facts)
            holds, fails = facts_of(other.test)
            self.body(other.body, scope, facts | holds)
            facts |= fails
        self.body(node.else_, scope, facts)

    def _for(self, node: nodes.For, scope: Scope, facts: Facts) -> None:
        item = self.items(node.iter, scope, facts)
        target = node.target.name if isinstance(node.target, nodes.Name) else ""
        if item.kind == "value" and item.null:
            item = unknown(target)
        inner = {**scope, target: item, "loop": LOOP_ROW}
        inside = frozenset(path for path in facts if path[0] not in {target, "loop"})
        if node.test is not None:
            self._shape(node.test, inner, inside)
            inside |= facts_of(node.test)[0]
        self.body(node.body, inner, inside)
        self.body(node.else_, scope, facts)

    def _shape(self, node: nodes.Node, scope: Scope, facts: Facts) -> Shape:
        """Return what an expression stands for, noting what is wrong inside it."""
        match node:
            case nodes.Name():
                shape = self._name(node, scope)
            case nodes.Getattr():
                shape = self._member(node, node.attr, scope, facts)
            case nodes.Getitem():
                shape = self._item(node, scope, facts)
            case nodes.Filter(node=nodes.Expr() as inner):
                shape = self._filter(node, self._shape(inner, scope, facts), scope, facts)
            case _:
                shape = self._computed(node, scope, facts)
        return replace(shape, null="") if path_of(node) in facts else shape

    def _computed(self, node: nodes.Node, scope: Scope, facts: Facts) -> Shape:
        match node:
            case nodes.CondExpr():
                return self._choice(node, scope, facts)
            case nodes.And() | nodes.Or():
                return self._either(node, scope, facts)
            case nodes.Compare():
                return self._compare(node, scope, facts)
            case nodes.BinExpr() | nodes.UnaryExpr():
                return self._reckoned(node, scope, facts)
        for child in node.iter_child_nodes(exclude=("ctx",)):
            self._shape(child, scope, facts)
        return Shape("list", item=VALUE) if isinstance(node, nodes.List | nodes.Tuple) else VALUE

    def _name(self, node: nodes.Name, scope: Scope) -> Shape:
        if node.name in scope:
            return scope[node.name]
        there = (name for name in scope if name)
        self._flaw(node, "unknown-name", f"There is no {node.name!r} here.", did_you_mean(node.name, there))
        return ANY

    def _member(self, node: nodes.Getattr | nodes.Getitem, name: str, scope: Scope, facts: Facts) -> Shape:
        owner = self._shape(node.node, scope, facts)
        said = spoken(node)
        if owner.kind == "any":
            return ANY
        if owner.kind == "list":
            fix = f"Write {spoken(node.node)}[0].{name}, or loop over it."
            self._flaw(node, "not-a-row", f"`{spoken(node.node)}` is a list of rows.", fix)
            return ANY
        if owner.kind == "value" or owner.columns is None:
            return unknown(said)
        if name not in owner.columns:
            self._no_column(node, name, spoken(node.node), owner.columns)
            return ANY
        return Shape(null=said if owner.columns[name] else "")

    def _item(self, node: nodes.Getitem, scope: Scope, facts: Facts) -> Shape:
        if isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str):
            return self._member(node, node.arg.value, scope, facts)
        owner = self._shape(node.node, scope, facts)
        self._shape(node.arg, scope, facts)
        if owner.kind == "row":
            fix = f"Name a column: {spoken(node.node)}.name."
            self._flaw(node, "not-a-list", f"`{spoken(node.node)}` is one row, not a list.", fix)
            return ANY
        if isinstance(node.arg, nodes.Slice) or owner.kind == "any":
            return owner
        return (owner.item if owner.kind == "list" else None) or unknown(spoken(node))

    def _filter(self, node: nodes.Filter, given: Shape, scope: Scope, facts: Facts) -> Shape:
        arguments = [self._shape(argument, scope, facts) for argument in node.args]
        arguments += [self._shape(pair.value, scope, facts) for pair in node.kwargs]
        self._attribute(node, given)
        null = given.null or next((argument.null for argument in arguments if argument.null), "")
        if node.name == "default":
            return replace(given, null=arguments[0].null if arguments else "")
        if node.name in _SAME_LIST:
            return given
        if node.name in {"first", "last"}:
            item = given.item or VALUE
            return item if item.kind == "row" else Shape(null=spoken(node))
        if node.name == "map":
            return Shape("list", item=unknown("an item"), null=given.null)
        return Shape(null=given.null if node.name in _ZONED else null)

    def _attribute(self, node: nodes.Filter, given: Shape) -> None:
        """Judge the column that a filter over rows names."""
        named = [pair.value for pair in node.kwargs if pair.key == "attribute"]
        named += node.args[:1] if node.name in _BY_ATTRIBUTE else []
        columns = given.item.columns if given.item and given.item.kind == "row" else None
        for argument in named:
            name = argument.value if isinstance(argument, nodes.Const) else ""
            if columns is not None and str(name).split(".")[0] not in columns:
                self._no_column(node, str(name), spoken(node), columns)

    def _choice(self, node: nodes.CondExpr, scope: Scope, facts: Facts) -> Shape:
        self._shape(node.test, scope, facts)
        holds, fails = facts_of(node.test)
        one = self._shape(node.expr1, scope, facts | holds)
        other = VALUE if node.expr2 is None else self._shape(node.expr2, scope, facts | fails)
        return replace(one, null=one.null or other.null)

    def _either(self, node: nodes.And | nodes.Or, scope: Scope, facts: Facts) -> Shape:
        left = self._shape(node.left, scope, facts)
        holds, fails = facts_of(node.left)
        if isinstance(node, nodes.Or):
            return self._shape(node.right, scope, facts | fails)
        right = self._shape(node.right, scope, facts | holds)
        return replace(right, null=left.null or right.null)

    def _compare(self, node: nodes.Compare, scope: Scope, facts: Facts) -> Shape:
        shapes = [self._shape(one, scope, facts) for one in (node.expr, *(operand.expr for operand in node.ops))]
        if any(operand.op in _ORDER for operand in node.ops):
            self._no_null(node, (shape.null for shape in shapes), "compared")
        return VALUE

    def _reckoned(self, node: nodes.BinExpr | nodes.UnaryExpr, scope: Scope, facts: Facts) -> Shape:
        sides = [self._shape(side, scope, facts) for side in node.iter_child_nodes() if isinstance(side, nodes.Expr)]
        if not isinstance(node, nodes.Not):
            self._no_null(node, (side.null for side in sides), "reckoned with")
        return VALUE

    def _no_null(self, node: nodes.Node, nulls: Iterator[str], how: str) -> None:
        null = next(filter(None, nulls), "")
        if null:
            fix = f"Write `({null} | default(0))`, or test it first: `{null} is not none and …`."
            self._flaw(node, "may-be-null", f"`{null}` can be NULL and is {how}.", fix)

    def _no_column(self, node: nodes.Node, name: str, owner: str, columns: Iterable[str]) -> None:
        self._flaw(node, "unknown-column", f"`{owner}` has no column {name!r}.", did_you_mean(name, columns))

    def _flaw(self, node: nodes.Node, code: str, message: str, fix: str) -> None:
        self.flaws.append(Flaw(node.lineno, code, message, fix))
