"""What each person will read; a text that does not speak of the recipient is rendered once for all readers."""

import re
from dataclasses import replace

from runtime.delivery.message import Send
from runtime.delivery.recipients import Recipient
from runtime.spec.compiled import CompiledText
from runtime.templates.choice import choose_text
from runtime.templates.rendering import Rendered, RenderFailed, render

_SLACK_SPECIAL = re.compile(r"<(?=[!@#])[^<>]*>")


class Wording:
    """Renders the texts of one send."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._known: dict[tuple[str, str, str, str], Rendered] = {}

    def rendered(self, recipient: Recipient, *, zone: str, sender: str, link: str) -> Rendered:
        """Return the words for a recipient; `sender` and `link` stand in a mail's footer. Raises Permanent."""
        same = (recipient.channel, recipient.locale, zone, link)
        known = self._known.get(same)
        if known is not None:
            return known
        text = choose_text(self._send.texts, recipient.channel, recipient.locale)
        rendered = render(
            text,
            {**self._send.names, "recipient": recipient.person},
            locale=recipient.locale,
            zone=zone,
            links={"unsubscribe": link} if link else {},
            sender=sender,
        )
        if recipient.channel == "slack":
            rendered = _slack(rendered, text)
        if not link and not _speaks_of_recipient(text):
            self._known[same] = rendered
        return rendered


def _speaks_of_recipient(text: CompiledText) -> bool:
    return any("recipient" in part for part in (text.subject, text.html, text.text))


def _slack(rendered: Rendered, text: CompiledText) -> Rendered:
    """Return Slack text in which nobody but the author can have called a channel, a group or a person.

    Templates escape values; this holds even where one does not.
    """
    if not rendered.text.strip():
        raise RenderFailed("The text comes out empty. Give its values a default.")

    def keep_or_show(found: re.Match[str]) -> str:
        return found[0] if found[0] in text.text else found[0].replace("<", "&lt;").replace(">", "&gt;")

    return replace(rendered, text=_SLACK_SPECIAL.sub(keep_or_show, rendered.text))
