"""What the tests of texts print: the names of a send, values for them, and a send made of one text."""

from typing import Any

from runtime.spec.compiled import CompiledText
from runtime.spec.model import SendStep
from runtime.spec.names import Names
from runtime.templates.choice import choose_text
from runtime.templates.compile import compile_texts
from runtime.templates.rendering import Rendered, render

NAMES = {
    "event": Names({"at": False}),
    "new": Names(
        {
            **dict.fromkeys(("id", "title", "total_cents", "currency"), False),
            **dict.fromkeys(("note", "shipped_at", "settings"), True),
        }
    ),
    "recipient": Names({"full_name": True, "email": False, "url": False}),
    "lines": Names({"title": False, "qty": False, "note": True}, rows=True),
    "anything": Names(None),
}
VALUES: dict[str, Any] = {
    "event": {"at": "2026-06-01T22:30:00+00:00"},
    "new": {
        "id": 7,
        "title": "Mug",
        "total_cents": 4000,
        "currency": "USD",
        "note": None,
        "shipped_at": None,
        "settings": {"theme": "dark", "tags": ["a", "b"]},
    },
    "recipient": {"full_name": None, "email": "ana@x.test", "url": "https://x.test"},
    "lines": [{"title": "Mug", "qty": 2, "note": None}, {"title": "Cap", "qty": 1, "note": "blue"}],
    "anything": {},
}

EVERY_BLOCK: dict[str, Any] = {
    "subject": "Order {{ new.id }} & more",
    "preheader": "It left {{ event.at | date }}.",
    "blocks": [
        {"type": "heading", "text": "Order **{{ new.id }}**"},
        {
            "type": "text",
            "text": "Hello {{ recipient.full_name | default('there') }},\n\nsee [it](https://x.test/{{ new.id }}).",
        },
        {
            "type": "button",
            "label": "Track {{ new.title }}",
            "href": "https://x.test/{{ new.title }}?a=1&b={{ new.id }}",
        },
        {
            "type": "facts",
            "columns": [{"label": "Order", "value": "{{ new.id }}"}, {"label": "Title", "value": "{{ new.title }}"}],
        },
        {
            "type": "items",
            "each": "lines",
            "columns": [{"label": "Item", "value": "{{ row.title }}"}, {"label": "Qty", "value": "{{ row.qty }}"}],
        },
        {"type": "alert", "text": "Parcels to islands."},
        *(
            {"type": "alert", "tone": tone, "text": f"{tone}: {{{{ new.title }}}}"}
            for tone in ("info", "success", "warning", "danger")
        ),
        {"type": "divider"},
        {"type": "text", "text": "- a\n- b\n\n> c"},
    ],
}


def send(*texts: dict[str, Any], channels: tuple[str, ...] = ("email",)) -> SendStep:
    """Return a send whose texts have what every text needs, unless they say otherwise."""
    whole = [
        {key: value for key, value in {**_USUAL, **({"body": ""} if "blocks" in text else {}), **text}.items() if value}
        for text in texts
    ]
    return SendStep.model_validate({"send": "tell", "to": "SELECT 1", "channels": channels, "texts": whole})


def compiled(text: dict[str, Any], channel: str = "email") -> CompiledText:
    """Compile one text for a channel."""
    return choose_text(compile_texts(send(text, channels=(channel,)), "", NAMES), channel, "")


def rendered(text: dict[str, Any], *, channel: str = "email", locale: str = "en", **values: Any) -> Rendered:
    """Compile and render one text; `values` replace or add names."""
    return render(compiled(text, channel), {**VALUES, **values}, locale=locale, zone="UTC")


_USUAL = {"subject": "s", "preheader": "p", "body": "b"}
