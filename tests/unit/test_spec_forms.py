"""The spec's other forms: canonical data, digests, JSON Schemas, plain words, durations."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from runtime.spec.canonical import canonical, digest
from runtime.spec.duration import Duration, parse_duration
from runtime.spec.json_schema import json_schema, model_schema
from runtime.spec.words import in_words
from runtime.spec.yaml import load_spec, parse_spec

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))
SEND: dict[str, Any] = {
    "send": "tell",
    "to": "SELECT s.id AS key, s.email FROM shop.staff s WHERE s.role = 'support'",
    "channels": ["email", "slack"],
    "texts": [{"subject": "Hello", "body": "y"}, {"locale": "fr", "subject": "Salut", "body": "y"}],
}


def test_the_canonical_form_leaves_defaults_out_and_loads_back() -> None:
    workflow = load_spec(EXAMPLES[0].read_text(encoding="utf-8"))
    data = canonical(workflow)
    assert parse_spec(data) == workflow
    assert "condition" not in json.dumps(data)
    assert list(data) == ["workflow", "about", "trigger", "while", "steps"]


def test_one_digest_for_one_meaning() -> None:
    one = load_spec("workflow: ab\nabout: x\ntrigger: {schedule: 0 8 * * 1}\nsteps: [{wait: w, for: 1 day}]")
    other = load_spec(
        '{"steps": [{"for": "1 day", "if": "", "wait": "w", "until": ""}], "about": "x", "workflow": "ab",'
        ' "trigger": {"zone": "UTC", "schedule": "0 8 * * 1", "each": "", "key": []}}'
    )
    assert digest(canonical(one)) == digest(canonical(other))
    assert len(digest({"b": 1, "a": {2, 1}})) == 64
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1}) != digest({"a": 2, "b": 1})


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_obey_the_published_schema(path: Path) -> None:
    jsonschema.validate(canonical(load_spec(path.read_text(encoding="utf-8"))), json_schema())


def test_the_published_schema_describes_every_key_and_is_closed() -> None:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    for part in objects(schema):
        assert part["additionalProperties"] is False
        assert all(key.get("description") for key in part["properties"].values())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"workflow": "ab", "about": "x", "trigger": {}, "steps": [], "extra": 1}, schema)


def objects(node: Any) -> list[dict[str, Any]]:
    """Return every object schema below a node."""
    found = [node] if isinstance(node, dict) and node.get("type") == "object" else []
    inner = node.values() if isinstance(node, dict) else node if isinstance(node, list) else []
    return found + [schema for value in inner for schema in objects(value)]


def test_the_schema_for_models_requires_every_key_and_stays_within_the_limits() -> None:
    schema = model_schema()
    text = json.dumps(schema)
    for part in objects(schema):
        assert part["additionalProperties"] is False
        assert part["required"] == list(part["properties"])
    assert "$ref" not in text
    assert "oneOf" not in text
    assert '"default"' not in text
    assert text.count("anyOf") == 2
    assert len(text) < 8_000


def test_a_spec_in_the_models_form_is_read() -> None:
    trigger = {"change": "shop.orders", "ops": [], "columns": [], "becomes": "status = 'paid'", "when": ""}
    text = {"locale": "", "channel": "", "subject": "a", "preheader": "", "body": "b", "blocks": []}
    send = {**SEND, "category": "transactional", "topic": "", "if": "", "texts": [text]}
    full = {"workflow": "ab", "about": "x", "trigger": trigger, "if": "", "while": "", "steps": [send]}
    jsonschema.validate(full, model_schema())
    assert (
        parse_spec(full).steps
        == parse_spec({**full, "steps": [{**SEND, "texts": [{"subject": "a", "body": "b"}]}]}).steps
    )


@pytest.mark.parametrize(
    ("text", "seconds", "months"),
    [
        ("30 minutes", 1_800, 0),
        ("1 hour", 3_600, 0),
        ("3 days", 259_200, 0),
        ("2 weeks", 1_209_600, 0),
        ("6 months", 0, 6),
        ("1 day 2 hours", 93_600, 0),
        ("1 month, 1 day and 30 Minutes", 88_200, 1),
        (" 90 minutes ", 5_400, 0),
    ],
)
def test_a_duration_is_read(text: str, seconds: float, months: int) -> None:
    assert parse_duration(text) == Duration(seconds, months)


@pytest.mark.parametrize(
    "text", ["", "soon", "3", "3 dayz", "-1 day", "0 days", "1 day 2 days", "6 years", "9999 weeks"]
)
def test_what_is_no_duration_is_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a duration|no time at all|twice|longer than five years"):
        parse_duration(text)


WORDS = [
    (
        {"change": "shop.orders", "becomes": "status = 'paid'"},
        "When a row of shop.orders is inserted or updated so that status = 'paid', which was not so before; ",
    ),
    (
        {"change": "shop.orders", "columns": ["a", "b"], "when": "new.a > 1"},
        "When a row of shop.orders is updated so that a or b changes, if new.a > 1; ",
    ),
    ({"change": "shop.orders", "ops": ["delete"]}, "When a row of shop.orders is deleted; "),
    ({"schedule": "0 8 * * 1-5", "zone": "Europe/Paris"}, "From Monday to Friday at 08:00 (Europe/Paris); "),
    ({"schedule": "30 9 * * 1,4"}, "Every Monday and Thursday at 09:30 (UTC); "),
    ({"schedule": "0 0 1 * *"}, "On day 1 of every month at 00:00 (UTC); "),
    ({"schedule": "5 7 * * *"}, "Every day at 07:05 (UTC); "),
    ({"schedule": "*/5 * * * *"}, "On the schedule */5 * * * * (UTC); "),
    (
        {"schedule": "0 8 * * 1", "each": "SELECT c.id FROM shop.customers c", "key": ["id"]},
        "Every Monday at 08:00 (UTC), for each row of shop.customers; ",
    ),
]


@pytest.mark.parametrize(("trigger", "words"), WORDS)
def test_a_trigger_in_plain_words(trigger: dict[str, Any], words: str) -> None:
    assert in_words(parse_spec({"workflow": "ab", "about": "x", "trigger": trigger, "steps": [SEND]})).startswith(words)


def test_a_whole_workflow_in_plain_words() -> None:
    spec = {
        "workflow": "ab",
        "about": "x",
        "trigger": {"change": "shop.orders", "becomes": "status = 'paid'"},
        "if": "new.total_cents > 5",
        "while": "live.status = 'paid'",
        "steps": [
            {"wait": "w", "for": "3 days"},
            {"wait": "v", "until": "new.placed_at + interval '1 day'"},
            {"query": "q", "sql": "SELECT p.title FROM shop.products p JOIN shop.order_items i ON i.product_id = p.id"},
            {**SEND, "if": "EXISTS (SELECT FROM q)", "category": "marketing", "topic": "tips"},
        ],
    }
    assert in_words(parse_spec(spec)).split("; ")[1:] == [
        "only if new.total_cents > 5",
        "wait 3 days",
        "wait until new.placed_at + interval '1 day'",
        "look up q in shop.products and shop.order_items",
        (
            "if EXISTS (SELECT FROM q), tell shop.staff where s.role = 'support' by e-mail or else Slack “Hello”"
            " (also in fr), as marketing on tips"
        ),
        "all of it only as long as live.status = 'paid', asked again before each message.",
    ]
