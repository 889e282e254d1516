"""Makes a judged text ready for its channels: templates that only wait for values."""

from collections.abc import Iterator

from runtime.spec.compiled import CompiledText
from runtime.spec.model import ChannelName, SendStep, Text
from runtime.templates.fields import blocks_of, field_name
from runtime.templates.judging import Judged
from runtime.templates.mail import FOOTER, SUBJECT, mail_html
from runtime.templates.part import Part
from runtime.templates.part_text import parts_to_text
from runtime.templates.policy import Flaw, flaws, parse
from runtime.templates.wording import MRKDWN, PLAIN

_OURS = frozenset({SUBJECT, FOOTER})


def make_texts(text: Text, judged: Judged, step: SendStep) -> tuple[list[CompiledText], list[Flaw]]:
    """Return a text for each channel it is for, and what compiling did to it (nothing, unless a compiler is broken)."""
    made: list[CompiledText] = []
    found: list[Flaw] = []
    for channel in _channels(text, step):
        one, lost = _slack(text, judged) if channel == ChannelName.SLACK else _mail(text, judged)
        made.append(one)
        found += [_lost(piece) for piece in lost]
        # Judged once more as a whole: what the parts may not do, they may not do together either.
        found += [flaw for source in (one.html, one.text) for flaw in flaws(parse(source), ours=_OURS)]
    return made, found


def _channels(text: Text, step: SendStep) -> Iterator[ChannelName]:
    """Yield the channels of a text; one for every channel leaves out those that have a text of their own."""
    own = {other.channel for other in step.texts if other.locale == text.locale and other.channel}
    for channel in dict.fromkeys(step.channels):
        if text.channel == channel or (not text.channel and channel not in own):
            yield channel


def _mail(text: Text, judged: Judged) -> tuple[CompiledText, tuple[str, ...]]:
    parts = _parts(text, judged)
    preheader = judged.words.get("preheader")
    whole = mail_html(parts, preheader=preheader.html if preheader else "", locale=text.locale)
    compiled = CompiledText(
        locale=text.locale,
        channel=ChannelName.EMAIL.value,
        subject=_subject(judged),
        html=whole.text,
        text=parts_to_text(parts, PLAIN),
    )
    return compiled, whole.lost


def _slack(text: Text, judged: Judged) -> tuple[CompiledText, tuple[str, ...]]:
    """Make mrkdwn; the subject is its first line, unless the text begins with a heading of its own."""
    words = parts_to_text(_parts(text, judged), MRKDWN)
    subject = judged.words.get("subject")
    if subject and not _begins_with_heading(text):
        words = f"{MRKDWN.bold(subject.written(MRKDWN))}\n\n{words}"
    compiled = CompiledText(
        locale=text.locale, channel=ChannelName.SLACK.value, subject=_subject(judged), html="", text=words
    )
    return compiled, ()


def _subject(judged: Judged) -> str:
    subject = judged.words.get("subject")
    return subject.written(PLAIN) if subject else ""


def _begins_with_heading(text: Text) -> bool:
    first = blocks_of(text)[0]
    return first.type == "heading" or (first.type == "text" and first.text.lstrip().startswith("#"))


def _parts(text: Text, judged: Judged) -> list[Part]:
    """Return the blocks whose fields are all there."""
    return [
        Part(block, {name: judged.words[full] for name, full in fields.items()})
        for number, block in enumerate(blocks_of(text))
        for fields in [{name: field_name(text, number, name) for name in Part.fields(block)}]
        if all(full in judged.words for full in fields.values())
    ]


def _lost(piece: str) -> Flaw:
    message = f"`{piece[:80]}` got lost while the mail was compiled."
    return Flaw(0, "lost-token", message, "Report this; leave the block out meanwhile.")
