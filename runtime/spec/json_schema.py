"""The spec's JSON Schema, in two forms: for people's editors, and for language models."""

from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from runtime.spec.model import Workflow

SCHEMA_ID = "urn:tidings:schema:workflow"


def json_schema() -> dict[str, Any]:
    """Return the published schema: what may be absent is optional, each key is described."""
    schema = Workflow.model_json_schema(by_alias=True)
    return {"$schema": GenerateJsonSchema.schema_dialect, "$id": SCHEMA_ID, **schema}


def model_schema() -> dict[str, Any]:
    """Return the schema for language models: every key required, closed, without recursion or optional keys.

    What is absent is an empty text or list; `parse_spec` reads both forms.
    """
    schema = Workflow.model_json_schema(by_alias=True)
    definitions = schema.pop("$defs")
    plain: dict[str, Any] = _required(_inlined(schema, definitions))
    return plain


_DROPPED = frozenset({"title", "default", "pattern", "maxLength", "minLength", "maxItems", "minItems"})


def _inlined(node: Any, definitions: dict[str, Any]) -> Any:
    """Put each definition where it is referred to; the models do not recurse, so this ends."""
    match node:
        case {"$ref": str(name), **rest}:
            return _inlined({**definitions[name.removeprefix("#/$defs/")], **rest}, definitions)
        case dict():
            return {key: _inlined(value, definitions) for key, value in node.items()}
        case list():
            return [_inlined(value, definitions) for value in node]
        case _:
            return node


def _required(node: Any) -> Any:
    """Require every key of every object, and say `anyOf` for `oneOf`, which is all that strict tools accept."""
    if isinstance(node, list):
        return [_required(value) for value in node]
    if not isinstance(node, dict):
        return node
    is_object = node.get("type") == "object"
    plain: dict[str, Any] = {}
    for key, value in node.items():
        if key == "properties":
            plain[key] = {name: _required(property_) for name, property_ in value.items()}
        elif key not in _DROPPED:
            plain["anyOf" if key == "oneOf" else key] = _required(value)
    if is_object:
        plain |= {"required": list(node["properties"]), "additionalProperties": False}
    return plain
