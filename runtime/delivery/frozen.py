"""Frozen requests whose messages share their words: what they share is kept once, and expanded alike at each attempt.

Stored requests rely on this form for ever:

- shared: {"from": text, "pieces": [text, …], "layouts": [[number, …], …]}
- request: {"id": text, "domain": text, "each": [message, …]}, and "date" where the provider does not date mails itself.
  A mail is [to, link, subject, html, text], a Slack message is [channel, text].
- A mail's Message-ID is <id.position@domain>: the id is one request's and stands for nothing else.
- subject, html and text are a text of its own, or the number of a piece, or [number of a layout, value, …]. A layout is
  joined: n from 0 on is a piece, -1 the message's own link, -2 its first value, -3 its second, and so on.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from json.encoder import encode_basestring  # what json.dumps writes a text with
from typing import Any

from runtime.delivery.headers import ONE_CLICK, mail_headers, way_out

Words = str | int | list[Any]
Member = Sequence[Any]
LINK = -1
_MAIL = 5


class Shared:
    """What the messages of many requests share."""

    def __init__(self, content: Mapping[str, Any]) -> None:
        self.sender: str = content["from"]
        self.pieces: Sequence[str] = content["pieces"]
        self.layouts: Sequence[Sequence[int]] = content["layouts"]

    @cached_property
    def written(self) -> list[bytes]:
        """Return the pieces as they stand inside the texts of JSON."""
        return [_inside(piece) for piece in self.pieces]


class Expansion(Mapping[str, Any]):
    """A request in full, {"messages": [...]}, made of what it shares and what is each message's own."""

    def __init__(self, shared: Shared, request: Mapping[str, Any]) -> None:
        self._shared = shared
        self._request = request
        self._each: Sequence[Member] = request["each"]

    @property
    def size(self) -> int:
        """Return how many messages there are."""
        return len(self._each)

    @cached_property
    def messages(self) -> list[dict[str, Any]]:
        """Return the messages, each as a provider takes it; keys in the order in which jsonb keeps them."""
        return [
            self._mail(position, *member) if len(member) == _MAIL else self._chat(*member)
            for position, member in enumerate(self._each)
        ]

    def json(self) -> bytes:
        """Return the messages, all of them mails, as JSON: what `as_json` would make of them, but much faster."""
        sender = b'"],"from":"' + _inside(self._shared.sender) + b'","html":"'
        date = b'"Date":"' + _inside(self._request["date"]) + b'",' if "date" in self._request else b""
        headers = b'","headers":{' + date + b'"Message-ID":"<' + _inside(self._request["id"])
        domain = b"@" + _inside(self._request["domain"]) + b'>","Auto-Submitted":"auto-generated"'
        one_click = b'","List-Unsubscribe-Post":"' + _inside(ONE_CLICK) + b'"'
        out: list[bytes] = []
        for position, (to, link, subject, html, text) in enumerate(self._each):
            out += (b',{"to":["', _inside(to), sender)
            out += self._written(html, link)
            out.append(b'","text":"')
            out += self._written(text, link)
            out += (headers, b".%d" % position, domain)
            if link:
                out += (b',"List-Unsubscribe":"', _inside(way_out(link)), one_click)
            out.append(b'},"subject":"')
            out += self._written(subject, link)
            out.append(b'"}')
        out[:1] = [b'[{"to":["']
        out.append(b"]")
        return b"".join(out)

    def _mail(self, position: int, to: str, link: str, *words: Words) -> dict[str, Any]:
        subject, html, text = (self._text(part, link) for part in words)
        date = {"Date": self._request["date"]} if "date" in self._request else {}
        mail_id = f"<{self._request['id']}.{position}@{self._request['domain']}>"
        headers = {**date, **mail_headers(mail_id, link)}
        return {
            "to": [to],
            "from": self._shared.sender,
            "html": html,
            "text": text,
            "headers": headers,
            "subject": subject,
        }

    def _chat(self, channel: str, text: Words) -> dict[str, Any]:
        return {"text": self._text(text, ""), "channel": channel}

    def _text(self, words: Words, link: str) -> str:
        if isinstance(words, str):
            return words
        pieces = self._shared.pieces
        if isinstance(words, int):
            return pieces[words]
        own = (link, *words[1:])
        return "".join([pieces[place] if place >= 0 else own[LINK - place] for place in self._shared.layouts[words[0]]])

    def _written(self, words: Words, link: str) -> Sequence[bytes]:
        if isinstance(words, str):
            return (_inside(words),)
        written = self._shared.written
        if isinstance(words, int):
            return (written[words],)
        own = [_inside(link), *map(_inside, words[1:])]
        return [written[place] if place >= 0 else own[LINK - place] for place in self._shared.layouts[words[0]]]

    def __getitem__(self, name: str) -> Any:
        if name != "messages":
            raise KeyError(name)
        return self.messages

    def __iter__(self) -> Iterator[str]:
        return iter(("messages",))

    def __len__(self) -> int:
        return 1


def as_json(messages: Sequence[Mapping[str, Any]]) -> bytes:
    """Return messages as they travel."""
    return json.dumps(messages, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def _inside(text: str) -> bytes:
    """Return the JSON of a text without its quotes."""
    written: str = encode_basestring(text)
    return written[1:-1].encode()
