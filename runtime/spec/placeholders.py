"""What a send's texts read of the rows: `new.status` in a subject needs that column captured."""

from collections.abc import Iterator

from jinja2 import Environment, TemplateSyntaxError, nodes

from runtime.spec.model import SendStep, Text

_READER = Environment(autoescape=True)


def columns_printed(step: SendStep, root: str) -> frozenset[str] | None:
    """Return the columns of `new`, `old` or `live` that a step's texts name; None when they use the row as a whole."""
    found: set[str] = set()
    for source in _sources(step):
        try:
            columns = _columns(_READER.parse(source), root)
        except (TemplateSyntaxError, RecursionError, ValueError):
            continue  # not Jinja2, or too deep: told by runtime/templates; such a text is never rendered
        if columns is None:
            return None
        found |= columns
    return frozenset(found)


def _sources(step: SendStep) -> Iterator[str]:
    for text in step.texts:
        yield from _parts(text)


def _parts(text: Text) -> Iterator[str]:
    yield from (text.subject, text.preheader, text.body)
    for block in text.blocks:
        yield from (block.text, block.label, block.href)
        if block.each:
            yield "{{ (" + block.each + ") }}"
        for item in block.columns:
            yield from (item.label, item.value)


def _columns(tree: nodes.Template, root: str) -> set[str] | None:
    columns: set[str] = set()
    named: set[int] = set()
    members: list[nodes.Getattr | nodes.Getitem] = [*tree.find_all(nodes.Getattr), *tree.find_all(nodes.Getitem)]
    for node in members:
        name = _member(node)
        if name is not None and isinstance(node.node, nodes.Name) and node.node.name == root:
            named.add(id(node.node))
            columns.add(name)
    whole = any(name.name == root and id(name) not in named for name in tree.find_all(nodes.Name))
    return None if whole else columns


def _member(node: nodes.Getattr | nodes.Getitem) -> str | None:
    if isinstance(node, nodes.Getattr):
        return node.attr
    return node.arg.value if isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str) else None
