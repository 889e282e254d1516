"""The form in which the model answers: questions, or why not, or which tables to see, or a workflow."""

import json
from functools import cache
from typing import Any, NamedTuple

from runtime.errors import Invalid
from runtime.spec.json_schema import model_schema

_TEXTS = {"type": "array", "items": {"type": "string"}}


class Answer(NamedTuple):
    """What the model answered, read."""

    questions: list[str]
    impossible: str
    look_at: list[str]
    workflow: Any
    """Data in the spec's form, not yet checked; None when there is none."""


@cache
def answer_schema() -> dict[str, Any]:
    """Return the JSON Schema of an answer: closed, every key required, without recursion."""
    properties = {
        "questions": {**_TEXTS, "description": "At most three questions to the person; else empty."},
        "impossible": {"type": "string", "description": "Why it can't be done, and what can; else empty."},
        "look_at": {**_TEXTS, "description": "Tables to be shown in detail, as schema.table; else empty."},
        "workflow": {"anyOf": [model_schema(), {"type": "null"}]},
    }
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def read_answer(text: str) -> Answer:
    """Read an answer; raises ValueError with what is wrong when it has not the form (a gateway may not enforce it)."""
    data = json.loads(text)
    if not isinstance(data, dict):
        raise ValueError("It is no JSON object.")  # noqa: TRY004  # one kind of error for every wrong form
    if set(data) & {"trigger", "steps"}:
        data = {"workflow": data}  # the bare spec is good enough
    return Answer(
        questions=_texts(data.get("questions")),
        impossible=str(data.get("impossible") or "").strip(),
        look_at=_texts(data.get("look_at")),
        workflow=data.get("workflow") or None,
    )


def shape_problems(error: Invalid) -> list[dict[str, Any]]:
    """Return the problems of a shape as the tools tell them."""
    return [{"path": p.path, "code": p.code, "message": p.message, "fix": p.fix} for p in error.problems]


def _texts(value: Any) -> list[str]:
    return [str(entry).strip() for entry in value if str(entry).strip()] if isinstance(value, list) else []
