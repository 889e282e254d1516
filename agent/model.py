"""The language model behind a small door: a prompt goes in, a reply with its reason to stop and its cost comes out.

The anthropic SDK is used directly and imported only when a model is opened. There is one layer of retries for each
kind of failure: the SDK repeats what failed before an answer began (408, 409, 429, 5xx, no connection), the graph
repeats an answer that broke off (CutShort). Keys, prompts and answers are never logged.
"""

import json
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol

from runtime.errors import NotAllowed, NotFound, Permanent, Temporary, TidingsError

if TYPE_CHECKING:
    from anthropic import APIStatusError, AsyncAnthropic
    from anthropic.types import Message, MessageParam, TextBlockParam

MAX_TOKENS = 32_000
RETRIES = 2
TIMEOUT = 120.0
"""Seconds without a byte; the API sends a ping every few seconds while it thinks."""
_KEY_REFUSED = (401, 403)
_UNKNOWN = 404
_LATER = (408, 409, 429)
_SERVER = 500
_MID_STREAM = 200
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Prompt:
    """What a model is asked."""

    system: tuple[str, ...]
    """Parts that stay the same from call to call, the stablest first; each ends a cached prefix (at most four)."""
    turns: tuple[str, ...]
    """What was said, the person's side and the model's in turn; the first and the last are the person's."""
    schema: Mapping[str, Any]
    """The closed JSON Schema of the answer."""


@dataclass(frozen=True)
class Usage:
    """What a call cost, in tokens."""

    input: int
    """All that was read, from the cache or not."""
    cached: int
    """How much of it came from the cache."""
    output: int


@dataclass(frozen=True)
class Reply:
    """What a model answered."""

    text: str
    stop: str
    """The API's stop_reason: end_turn, max_tokens, refusal, model_context_window_exceeded …"""
    detail: str
    """Why it refused, where it says so."""
    usage: Usage


class CutShort(Temporary):
    """An answer began and broke off; nothing of it can be used. Asking again is safe."""


class Model(Protocol):
    """A language model."""

    name: str

    async def answer(self, prompt: Prompt, *, heard: Callable[[int], None]) -> Reply:
        """Answer a prompt; `heard` is told the number of characters so far while the answer streams in.

        Raises CutShort, Temporary (retry_after where it is known), NotAllowed (the key), NotFound (the model's name)
        or Permanent (the request).
        """
        ...


@asynccontextmanager
async def open_anthropic(name: str, *, api_key: str, base_url: str) -> AsyncIterator[Model]:
    """Yield the Anthropic model of that name; its connections are closed at the end."""
    from anthropic import AsyncAnthropic  # noqa: PLC0415  # heavy: a second, 3,000 modules

    async with AsyncAnthropic(api_key=api_key, base_url=base_url, max_retries=RETRIES, timeout=TIMEOUT) as client:
        yield AnthropicModel(client, name)


class AnthropicModel:
    """A model behind Anthropic's Messages API, or a gateway that speaks it."""

    def __init__(self, client: "AsyncAnthropic", name: str) -> None:
        self._client = client
        self.name = name

    async def answer(self, prompt: Prompt, *, heard: Callable[[int], None]) -> Reply:
        """Stream an answer that is constrained to the prompt's schema."""
        from anthropic import APIConnectionError, APIStatusError  # noqa: PLC0415  # see open_anthropic
        from httpx2 import HTTPError  # noqa: PLC0415  # the SDK's transport; comes with it

        try:
            return await self._stream(prompt, heard)
        except APIStatusError as error:
            raise _explained(error, self.name) from error
        except APIConnectionError as error:
            raise Temporary(
                f"The model at {self._client.base_url.host} can't be reached ({error.__cause__ or error}). "
                "Check the network and ANTHROPIC_BASE_URL, then go on with the same thread."
            ) from error
        except (HTTPError, json.JSONDecodeError) as error:
            raise CutShort(f"The model's answer broke off ({error}). Go on with the same thread.") from error

    async def _stream(self, prompt: Prompt, heard: Callable[[int], None]) -> Reply:
        stream = self._client.messages.stream(
            model=self.name,
            max_tokens=MAX_TOKENS,
            thinking={"type": "adaptive"},
            system=_system(prompt.system),
            messages=_messages(prompt.turns),
            output_config={"format": {"type": "json_schema", "schema": dict(prompt.schema)}},
        )
        length, complete = 0, False
        async with stream as events:
            async for event in events:
                complete = complete or event.type == "message_stop"
                if event.type == "text":
                    length += len(event.text)
                    heard(length)
            if not complete:
                raise CutShort("The model's answer ended before it was complete. Go on with the same thread.")
            reply = _reply(await events.get_final_message())
            cost = reply.usage
            _log.info(
                "model.answered model=%s stop=%s input=%d cached=%d output=%d request=%s",
                *(self.name, reply.stop, cost.input, cost.cached, cost.output, events.request_id),
            )
            return reply


def _system(parts: tuple[str, ...]) -> "list[TextBlockParam]":
    return [{"type": "text", "text": part, "cache_control": {"type": "ephemeral", "ttl": "1h"}} for part in parts]


def _messages(turns: tuple[str, ...]) -> "list[MessageParam]":
    return [
        {"role": "assistant", "content": turn} if number % 2 else {"role": "user", "content": turn}
        for number, turn in enumerate(turns)
    ]


def _reply(message: "Message") -> Reply:
    usage = message.usage
    cached = usage.cache_read_input_tokens or 0
    details = message.stop_details
    return Reply(
        text="".join(block.text for block in message.content if block.type == "text"),
        stop=message.stop_reason or "",
        detail=(details.explanation or details.category or "") if details else "",
        usage=Usage(
            input=usage.input_tokens + cached + (usage.cache_creation_input_tokens or 0),
            cached=cached,
            output=usage.output_tokens,
        ),
    )


def _explained(error: "APIStatusError", model: str) -> TidingsError:
    """Say what an error of the API means for the person: what, where, what to do."""
    body = error.body if isinstance(error.body, dict) else {}
    told = body.get("error") if isinstance(body.get("error"), dict) else body
    kind = str((told or {}).get("type", ""))
    said = str((told or {}).get("message", "")) or error.message
    status = error.status_code
    if status == _MID_STREAM and kind != "invalid_request_error":
        return CutShort(f"The model's answer broke off ({kind}: {said}). Go on with the same thread.")
    if status in _KEY_REFUSED:
        return NotAllowed(f"The model's service refuses the key in ANTHROPIC_API_KEY ({said}). Set a valid one.")
    if status == _UNKNOWN:
        return NotFound(f"The service knows no model {model!r} ({said}). Set TIDINGS_MODEL to one that it has.")
    if status in _LATER or status >= _SERVER:
        return Temporary(
            f"The model's service is busy or broken (HTTP {status}, {said}). Wait a little, then go on with the same "
            "thread.",
            _retry_after(error),
        )
    return Permanent(f"The model's service refused the request (HTTP {status}): {said}")


def _retry_after(error: "APIStatusError") -> timedelta | None:
    value = error.response.headers.get("retry-after", "")
    return timedelta(seconds=int(value)) if value.isdecimal() else None
