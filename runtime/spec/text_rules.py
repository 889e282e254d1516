"""What must be right about the texts of a send: one for everybody, subjects, and blocks that have what they need."""

import re
from collections.abc import Iterator

from runtime.errors import Problem
from runtime.spec.model import Block, SendStep, Text

_LOCALE = re.compile(r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$")
_NEEDS: dict[str, tuple[str, ...]] = {
    "heading": ("text",),
    "text": ("text",),
    "button": ("label", "href"),
    "facts": ("columns",),
    "items": ("each", "columns"),
    "alert": ("text",),
    "divider": (),
}
_MAY = {"alert": ("tone",)}
_KEYS = ("text", "label", "href", "each", "columns", "tone")


def check_texts(step: SendStep, path: str) -> Iterator[Problem]:
    """Yield what is wrong with the shape of a send's texts; what stands in them is for `runtime/templates` to judge."""
    yield from _coverage(step, path)
    seen: set[tuple[str, str]] = set()
    for number, words in enumerate(step.texts):
        place = f"{path}/texts/{number}"
        yield from _text(words, place, step)
        if (words.locale, words.channel) in seen:
            message = "Another text has the same locale and channel."
            yield Problem(place, "duplicate-text", message, "Keep one, or give it another locale or channel.")
        seen.add((words.locale, words.channel))
        for index, block in enumerate(words.blocks):
            yield from _block(block, f"{place}/blocks/{index}")


def _coverage(step: SendStep, path: str) -> Iterator[Problem]:
    """Every channel needs a text without a locale: the one for people whose language has none."""
    for channel in step.channels:
        if not any(not text.locale and text.channel in {"", channel} for text in step.texts):
            message = f"There is no text without a locale for {channel.value}."
            fix = "Add the default text: the one that people get whose language has none."
            yield Problem(f"{path}/texts", "no-default-text", message, fix)


def _text(text: Text, path: str, step: SendStep) -> Iterator[Problem]:
    if text.locale and not _LOCALE.match(text.locale):
        fix = "Write it like fr or pt-BR."
        yield Problem(f"{path}/locale", "bad-locale", f"{text.locale!r} is no language tag.", fix)
    if text.channel and text.channel not in step.channels:
        message = f"The send has no channel {text.channel}."
        yield Problem(
            f"{path}/channel", "unused-text", message, "Add the channel, or leave the text out.", warning=True
        )
    is_mail = "email" in step.channels and text.channel in {"", "email"}
    if is_mail and not text.subject.strip():
        yield Problem(
            f"{path}/subject", "missing-subject", "An e-mail needs a subject.", "Write one, up to 60 characters."
        )
    if bool(text.body.strip()) == bool(text.blocks):
        message = "A text has `body` and `blocks` both." if text.blocks else "A text needs a `body` or `blocks`."
        yield Problem(path, "one-of", message, "Write exactly one of them.")


def _block(block: Block, path: str) -> Iterator[Problem]:
    needed = _NEEDS[block.type]
    for key in _KEYS:
        value = getattr(block, key)
        if key in needed and not value:
            yield Problem(
                f"{path}/{key}", "missing-key", f"A block of type {block.type} needs {key!r}.", f"Add {key!r}."
            )
        elif value and key not in needed and key not in _MAY.get(block.type, ()):
            reads = ", ".join((*needed, *_MAY.get(block.type, ()))) or "no other key"
            message = f"A block of type {block.type} does not read {key!r}."
            yield Problem(f"{path}/{key}", "unknown-key", message, f"It reads {reads}.")
