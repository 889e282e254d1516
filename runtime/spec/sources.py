"""What functions and VALUES offer when they stand in FROM."""

from sqlglot import exp

from runtime.spec.scope import Field, Relation, relation_of
from runtime.spec.vocabulary import words

_ONE_COLUMN = words(
    "generate_series unnest regexp_split_to_table string_to_table generate_subscripts regexp_matches json_object_keys"
    " jsonb_object_keys"
)
"""Functions whose one column is called as the alias."""
_KNOWN = {
    **dict.fromkeys(
        ["json_array_elements", "jsonb_array_elements", "json_array_elements_text", "jsonb_array_elements_text"],
        ("value",),
    ),
    **dict.fromkeys(["json_each", "jsonb_each", "json_each_text", "jsonb_each_text"], ("key", "value")),
}


def function_relation(call: exp.Expr, alias: str, *, ordinality: bool) -> Relation:
    """Return the columns of a function in FROM; of one that is not known here they stay open."""
    name = "unnest" if isinstance(call, exp.Unnest) else call.name
    columns: tuple[str, ...]
    if name in _ONE_COLUMN and len(call.expressions) <= (1 if name == "unnest" else 3):
        columns, is_open = (alias or name,), False
    else:
        columns, is_open = _KNOWN.get(name, ()), name not in _KNOWN
    offset = call.args.get("offset") if isinstance(call, exp.Unnest) else ordinality
    if offset:
        columns = (*columns, offset.name if isinstance(offset, exp.Identifier) else "ordinality")
    return relation_of([Field(column) for column in columns], is_open=is_open)


def values_relation(values: exp.Values) -> Relation:
    """Return the columns of VALUES in FROM: column1, column2 … until the alias renames them."""
    width = len(values.expressions[0].expressions) if values.expressions else 0
    return relation_of([Field(f"column{place + 1}") for place in range(width)])
